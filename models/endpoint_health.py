"""Health of agents' endpoints: one row each as last reported, and its history by day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from core.clock import micros, moment_of
from core.endpoint_health import ReportedHealth
from core.errors import InvalidInput
from core.paging import OpenSlice, decode_cursor, encode_cursor
from models.agents import Agent
from models.connection import fetch, json_text

HISTORY: Final = "endpoint_health_history"
ROW_EVERY: Final = timedelta(seconds=10)
"""However often an agent reports, an endpoint has one record for each such interval."""


@dataclass(frozen=True, slots=True)
class EndpointHealth(ReportedHealth):
    """The health of one endpoint; `updated_at` is when it was last reported, by our clock."""

    agent_id: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """What a report said of one endpoint; `at` is when it came, cut to ten seconds."""

    name: str
    protocol: str | None
    status: str | None
    connected: bool | None
    last_poll: datetime | None
    error_count: int | None
    last_error: str | None
    at: datetime


_TYPES: Final = {
    "name": "text",
    "protocol": "text",
    "status": "text",
    "connected": "boolean",
    "last_poll": "timestamptz",
    "last_seen": "timestamptz",
    "error_count": "bigint",
    "last_error": "text",
    "response_time_ms": "float8",
    "poll_success_rate": "float8",
    "communication_quality": "text",
}
_TOLD: Final = ", ".join(_TYPES)
_RECORDED: Final = ", ".join(each.name for each in fields(HealthRecord) if each.name != "at")


def _sets(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


# Made of the constants above; every value is a parameter.
_PUT: Final = (
    "with told as (select * from jsonb_to_recordset($3::jsonb)"  # noqa: S608
    f" as r({', '.join(f'{name} {kind}' for name, kind in _TYPES.items())})),"
    " gone as (delete from endpoint_health where tenant_id = $1 and agent_id = $2"
    " and name not in (select name from told)),"
    f" kept as (insert into endpoint_health (tenant_id, agent_id, updated_at, {_TOLD})"
    f" select $1, $2, $4, {_TOLD} from told on conflict (tenant_id, agent_id, name)"
    f" do update set updated_at = $4, {_sets(list(_TYPES)[1:])})"
    f" insert into {HISTORY} as h (tenant_id, agent_id, at, {_RECORDED})"
    f" select $1, $2, date_bin($5, $4::timestamptz, 'epoch'), {_RECORDED} from told"
    " on conflict (tenant_id, agent_id, name, at) do update"
    f" set {_sets(_RECORDED.split(', ')[1:])}"
    " where (h.status, h.connected) is distinct from (excluded.status, excluded.connected)"
)


async def put_health(
    tenant_id: int, agent_id: int, health: Sequence[ReportedHealth], now: datetime
) -> None:
    """Keep all that a live report says of its agent's endpoints, and add it to the history.

    One statement. An endpoint that the report does not name is gone. Ten seconds have one record:
    the first report's, or that of a later one in which an endpoint changed.
    """
    told = json_text(list(health), "endpoints_health")
    await fetch(_PUT, tenant_id, agent_id, told, now, ROW_EVERY)


async def health_of(tenant_id: int, agent_ids: Collection[int]) -> list[EndpointHealth]:
    """Return the health of these agents' endpoints as last reported, by agent and name."""
    rows = await fetch(
        f"select agent_id, updated_at, {_TOLD} from endpoint_health"  # noqa: S608  (our names)
        " where tenant_id = $1 and agent_id = any($2::int[]) order by agent_id, name",
        tenant_id,
        sorted(set(agent_ids)),
    )
    return [EndpointHealth(**row) for row in rows]


async def page_of_health_history(
    agent: Agent,
    protocol: str | None,
    name: str,
    since: datetime | None,
    first: int,
    after: str | None,
) -> OpenSlice[HealthRecord]:
    """Return records of one endpoint from `since` on, newest first; of any protocol if None."""
    rows = await fetch(
        f"select at, {_RECORDED} from {HISTORY}"  # noqa: S608  (our names)
        " where tenant_id = $1 and agent_id = $2 and name = $3"
        " and ($4::text is null or protocol = $4) and at >= coalesce($5, '-infinity'::timestamptz)"
        " and at < $6 order by at desc limit $7",
        agent.tenant_id,
        agent.id,
        name,
        protocol,
        since,
        _END if after is None else _behind(after),
        first + 1,
    )
    items = [HealthRecord(**row) for row in rows[:first]]
    cursors = [encode_cursor(str(micros(item.at))) for item in items]
    return OpenSlice(items, cursors, len(rows) > first)


_END: Final = moment_of(253_402_300_799_000_000)  # the last second that has a name


def _behind(after: str) -> datetime:
    try:
        return moment_of(int(decode_cursor(after)))
    except (ValueError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None
