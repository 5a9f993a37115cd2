"""Merging a partial, unordered report into what is known of its agent, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

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
_PLAIN_COLUMNS = ("version", "apps", "config", "devices")
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
_IDENTITY_COLUMNS = ("agent_version", "os_version", "architecture", "ip_address")
_HEALTH = "jsonb_path_query_array({0}.endpoints_health, '$.*.status')"
_SEEN = ", is_online = true, last_seen_at = greatest(a.last_seen_at, $3)"


class _Pick(Protocol):
    def __call__(self, new: str, old: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Merged:
    """What a report changed: something that people act on, or the agent's being there.

    `change` is apps and version of the agent before and after, where either differs.
    """

    has_changed: bool
    was_online: bool
    change: tuple[dict[str, object], dict[str, object]] | None = None


def _merge_sql(*, replay: bool) -> str:
    """Build the statement that merges a report into its agent's rows.

    What a report leaves out keeps its value. A replay only fills what was never reported: it has
    no time, and may be older than everything stored.
    """

    def pick(new: str, old: str) -> str:
        return f"coalesce({old}, {new})" if replay else f"coalesce({new}, {old})"

    states = ", ".join(
        f"{name} = {pick(f'${number}::{kind}', f's.{name}')}"
        for number, (name, kind) in enumerate(_STATE_COLUMNS.items(), start=4)
    )
    extra = "$9::jsonb || s.extra" if replay else "s.extra || $9::jsonb"
    reported = "" if replay else ", reported_at = $3"
    differs = [f"s.{name} is distinct from before.{name}" for name in _PLAIN_COLUMNS]
    differs += [f"{_HEALTH.format('s')} is distinct from {_HEALTH.format('before')}"]
    differs += [f"g.{name} is distinct from owner.{name}" for name in _IDENTITY_COLUMNS]
    # Column names are the constants above; every value is a parameter.
    return (
        "with owner as (select * from agent where tenant_id = $1 and id = $2 for update),"  # noqa: S608
        " before as (select * from current_state where tenant_id = $1 and agent_id = $2),"
        " s as (insert into current_state as s (tenant_id, agent_id, version, apps, config,"
        " endpoints_health, devices, extra, reported_at)"
        " select $1, $2, $4, coalesce($5::jsonb, '{}'), $6, $7, $8, $9, $3 from owner"
        f" on conflict (tenant_id, agent_id) do update set {states}, extra = {extra}{reported}"
        " returning *),"
        f" g as ({_gateway_sql(10, pick, '' if replay else _SEEN)})"
        f" select owner.is_online as was_online, {' or '.join(differs)} as has_changed,"
        f" case when s.apps is distinct from coalesce(before.apps, '{{}}')"
        " or g.agent_version is distinct from owner.agent_version then jsonb_build_array("
        " jsonb_build_object('apps', before.apps, 'agent_version', owner.agent_version),"
        " jsonb_build_object('apps', s.apps, 'agent_version', g.agent_version)) end as change"
        " from owner cross join s cross join g left join before on true"
    )


def _gateway_sql(first: int, pick: _Pick, seen: str) -> str:
    sets = ", ".join(
        f"{name} = {pick(f'${first + index}::{kind}', f'a.{name}')}"
        for index, (name, kind) in enumerate(_GATEWAY_COLUMNS.items())
    )
    return f"update agent a set {sets}{seen} from owner where a.id = owner.id returning a.*"  # noqa: S608


_LIVE_SQL = _merge_sql(replay=False)
_REPLAY_SQL = _merge_sql(replay=True)
_METRICS_SQL = (
    "with owner as (select * from agent where tenant_id = $1 and id = $2 for update),"  # noqa: S608
    f" g as ({_gateway_sql(4, lambda new, old: f'coalesce({new}, {old})', _SEEN)})"
    " select owner.is_online as was_online, false as has_changed from owner"
)


async def merge_report(
    tenant_id: int, agent_id: int, report: StateReport, now: datetime
) -> Merged | None:
    """Merge a report into the agent's current state and its own row; None without the agent.

    One statement. A live report also shows that the agent is there.
    """
    rows = await fetch(
        _REPLAY_SQL if report.is_replay else _LIVE_SQL,
        tenant_id,
        agent_id,
        now,
        None if report.version is None else max(1, min(report.version, 2**31 - 1)),
        _json(report.apps),
        _json(report.config),
        _json(report.endpoints_health),
        _json(report.devices),
        _json(report.extra),
        *_gateway_values(report),
    )
    if not rows:
        return None
    change = rows[0]["change"]
    return Merged(
        rows[0]["has_changed"],
        rows[0]["was_online"],
        None if change is None else tuple(orjson.loads(change)),
    )


async def merge_metrics(
    tenant_id: int, agent_id: int, report: StateReport, now: datetime
) -> Merged | None:
    """Keep the gateway's figures of a message that is no state report; None without the agent."""
    rows = await fetch(_METRICS_SQL, tenant_id, agent_id, now, *_gateway_values(report))
    return Merged(rows[0]["has_changed"], rows[0]["was_online"]) if rows else None


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
