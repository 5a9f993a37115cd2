"""Merging a partial, unordered report into what is known of its agent, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from core.state_reports import StateReport
from models.connection import fetch, json_text

_STATE_COLUMNS = {
    "version": "int",
    "apps": "jsonb",
    "config": "jsonb",
    "endpoints_health": "jsonb",
    "devices": "jsonb",
}
_GATEWAY_COLUMNS = {
    "agent_version": "text",
    "os_version": "text",
    "architecture": "text",
    "ip_address": "text",
    "network_interfaces": "jsonb",
    "cpu_usage": "float8",
    "cpu_temp": "float8",
    "memory_usage": "float8",
    "memory_total": "float8",
    "storage_usage": "float8",
    "storage_total": "float8",
    "uptime_seconds": "float8",
}
_FIRST = 11
_LAST = _FIRST + len(_GATEWAY_COLUMNS)
_NOTABLE = ("s.version", "s.apps", "s.config", "g.agent_version")
_SHOWN = ("s.devices", "g.os_version", "g.architecture", "g.ip_address")
_COMPARED = ("s.apps", "s.config", "g.agent_version")
_HEALTH = "jsonb_path_query_array({0}.endpoints_health, '$.*.status')"
_BEFORE = {"s": "before", "g": "owner"}


@dataclass(frozen=True, slots=True)
class Merged:
    """What a report changed, and whether it was merged at all.

    Attributes:
        is_late: a newer report was there before it, so nothing was changed.
        is_notable: it changed what the agent runs or how its endpoints are.
        has_changed: it changed something that people see.
        must_compare: the agent may differ from its target state in another way than before.
        change: apps and version of the agent before and after, where either differs.
    """

    was_online: bool
    has_changed: bool = False
    is_notable: bool = False
    must_compare: bool = False
    is_late: bool = False
    change: tuple[dict[str, object], dict[str, object]] | None = None


def _differ(columns: tuple[str, ...]) -> str:
    tests = [f"{name} is distinct from {_BEFORE[name[0]]}{name[1:]}" for name in columns]
    return " or ".join(tests)


def _gateway_sql(first: int, condition: str) -> str:
    sets = ", ".join(
        f"{name} = coalesce(${first + index}::{kind}, a.{name})"
        for index, (name, kind) in enumerate(_GATEWAY_COLUMNS.items())
    )
    return (
        f"update agent a set {sets}, is_online = a.is_online or $4,"  # noqa: S608  (our names)
        " last_seen_at = greatest(a.last_seen_at, $3)"
        f" from owner where a.id = owner.id{condition} returning a.*"
    )


_OWNER = "owner as (select * from agent where tenant_id = $1 and id = $2 for update)"


def _merge_sql() -> str:
    """Build the statement that merges a report into its agent's rows.

    What a report leaves out keeps its value. `before` is locked, so that it is what the report
    before this one left, not what the statement saw when it began to wait for it.
    """
    states = ", ".join(
        f"{name} = coalesce(${number}::{kind}, s.{name})"
        for number, (name, kind) in enumerate(_STATE_COLUMNS.items(), start=5)
    )
    health = f"{_HEALTH.format('s')} is distinct from {_HEALTH.format('before')}"
    # Column names are the constants above; every value is a parameter.
    return (
        f"with {_OWNER},"  # noqa: S608
        " before as (select c.* from owner join current_state c"
        " on c.tenant_id = $1 and c.agent_id = owner.id for update of c),"
        " s as (insert into current_state as s (tenant_id, agent_id, version, apps, config,"
        " endpoints_health, devices, extra, reported_at)"
        " select $1, $2, $5, coalesce($6::jsonb, '{}'), $7, $8, $9, $10, $3"
        " from owner left join before on true"
        f" on conflict (tenant_id, agent_id) do update set {states},"
        f" extra = s.extra || $10::jsonb, reported_at = $3 where s.reported_at <= $3 or not ${_LAST} returning *),"
        f" g as ({_gateway_sql(_FIRST, ' and exists (select from s)')})"
        " select owner.is_online as was_online, s is null as is_late,"
        f" coalesce({_differ(_NOTABLE)} or {health}, false) as is_notable,"
        f" coalesce({_differ(_SHOWN)}, false) as is_shown,"
        f" coalesce({_differ(_COMPARED)}, false) or s.compared_version is distinct from"
        " (select version from target_state where tenant_id = $1 and agent_id = $2)"
        " as must_compare,"
        " case when s.apps is distinct from coalesce(before.apps, '{}')"
        " or g.agent_version is distinct from owner.agent_version then jsonb_build_array("
        " jsonb_build_object('apps', before.apps, 'agent_version', owner.agent_version),"
        " jsonb_build_object('apps', s.apps, 'agent_version', g.agent_version)) end as change"
        " from owner left join s on true left join g on true left join before on true"
    )


_MERGE = _merge_sql()
_METRICS = f"with {_OWNER}, g as ({_gateway_sql(5, '')}) select is_online from owner"  # noqa: S608


async def merge_report(
    tenant_id: int,
    agent_id: int,
    report: StateReport,
    came_at: datetime,
    *,
    is_recent: bool,
    was_put_off: bool,
) -> Merged | None:
    """Merge a live report into the agent's current state and its own row; None without the agent.

    One statement. It also shows that the agent was there at `came_at`, and that it is online if
    that is recent. One that was put off changes nothing when what is stored came after it; of
    two that arrive together the last one wins, whatever their clocks say.
    """
    rows = await fetch(
        _MERGE,
        tenant_id,
        agent_id,
        came_at,
        is_recent,
        report.version,
        _json(report.apps),
        _json(report.config),
        _json(report.endpoints_health),
        _json(report.devices),
        _json(report.extra),
        *_gateway_values(report),
        was_put_off,
    )
    if not rows:
        return None
    row = rows[0]
    if row["is_late"]:
        return Merged(row["was_online"], is_late=True)
    change = row["change"]
    return Merged(
        was_online=row["was_online"],
        has_changed=row["is_notable"] or row["is_shown"],
        is_notable=row["is_notable"],
        must_compare=row["must_compare"],
        change=None if change is None else tuple(orjson.loads(change)),
    )


async def merge_metrics(
    tenant_id: int, agent_id: int, report: StateReport, now: datetime
) -> Merged | None:
    """Keep the gateway's figures of a message that is no state report; None without the agent."""
    rows = await fetch(_METRICS, tenant_id, agent_id, now, True, *_gateway_values(report))
    return Merged(rows[0]["is_online"]) if rows else None


def _gateway_values(report: StateReport) -> list[object]:
    metrics = report.metrics
    return [
        _cut(report.agent_version, 100),
        _cut(report.os_version, 255),
        _cut(report.architecture, 50),
        _cut(report.local_ip, 64),
        _json(report.network_interfaces),
        *(metrics.get(name) for name in (*list(_GATEWAY_COLUMNS)[5:-1], "uptime")),
    ]


def _json(value: object) -> str | None:
    return None if value is None else json_text(value, "body")


def _cut(text: str | None, chars: int) -> str | None:
    return None if text is None else text[:chars]
