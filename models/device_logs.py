"""Log lines of agents: in daily partitions, outside the ORM; a batch is one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from core.errors import InvalidInput
from core.paging import OpenSlice
from models.agents import Agent
from models.connection import fetch, json_text, rows_connection
from models.pages import cursor_at, read_cursor, row_number
from models.timeseries.partitions import ensure_partitions

LogRow = tuple[int, int, datetime, str, str, str, bool, bool, str, datetime]
"""One line in the order of the table's columns; `meta` as JSON text."""

# Not COPY, which would have to go past the parent and its row-level security (docs/adr/0014).
_INSERT = """
insert into device_log (tenant_id, agent_id, at, level, service, message, is_system, is_stderr,
                        meta, received_at)
select * from unnest($1::int[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
                     $7::boolean[], $8::boolean[], $9::jsonb[], $10::timestamptz[])
"""

# An index gives the next name after another: as many steps as there are services, not lines.
_SERVICES = """
with recursive found as (
    (select service from device_log where tenant_id = $1 and agent_id = $2
     order by service limit 1)
    union all
    select (select service from device_log where tenant_id = $1 and agent_id = $2
            and service > found.service order by service limit 1)
    from found where found.service is not null
)
select service from found where service <> '' order by 1
"""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Conditions on lines, all of which must hold; `since` is inclusive, `until` is not."""

    service: str | None = None
    levels: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line as it was stored; `at` is the agent's time."""

    id: int
    agent_uuid: UUID
    at: datetime
    level: str
    service: str
    message: str
    is_system: bool
    is_stderr: bool
    meta: dict[str, Any]
    received_at: datetime


async def open_log_days(moments: Sequence[datetime]) -> None:
    """Make the partitions that hold these moments.

    Outside the unit of work that writes: attaching a partition locks the table, and that lock
    must not last until somebody's upload has been copied.
    """
    if not moments:
        return
    async with rows_connection() as connection:
        await ensure_partitions(connection, "device_log", moments)


async def append_log_batch(
    tenant_id: int, agent_id: int, batch_id: str | None, rows: Sequence[LogRow], now: datetime
) -> bool:
    """Store lines together with their batch id; False when that id was stored before."""
    async with rows_connection() as connection:
        if batch_id is not None and not await _take_batch(
            connection, tenant_id, agent_id, batch_id, len(rows), now
        ):
            return False
        if rows:
            await connection.execute(_INSERT, *map(list, zip(*rows, strict=True)))
    return True


async def _take_batch(
    connection: Any, tenant_id: int, agent_id: int, batch_id: str, line_count: int, now: datetime
) -> bool:
    taken = await connection.fetchval(
        "insert into log_batch (tenant_id, agent_id, batch_id, line_count, received_at)"
        " values ($1, $2, $3, $4, $5)"
        " on conflict (tenant_id, agent_id, batch_id) do nothing returning id",
        tenant_id,
        agent_id,
        batch_id,
        line_count,
        now,
    )
    return taken is not None


def meta_json(meta: dict[str, Any]) -> str:
    """Return the free facts of a line as JSON text; what is nested too deeply is left out."""
    try:
        return json_text(meta, "meta")
    except InvalidInput:
        return "{}"


async def page_of_logs(
    agent: Agent, wanted: LogFilter, first: int, after: str | None, offset: int
) -> OpenSlice[StoredLine]:
    """Return lines of an agent, newest first; raises InvalidInput for a cursor."""
    values: list[object] = [agent.tenant_id, agent.id]
    where = "tenant_id = $1 and agent_id = $2"
    for condition, value in (
        ("service = ${}", wanted.service),
        ("level = any(${}::text[])", None if wanted.levels is None else list(wanted.levels)),
        ("at >= ${}", wanted.since),
        ("at < ${}", wanted.until),
    ):
        if value is not None:
            values.append(value)
            where += f" and {condition.format(len(values))}"
    if after is not None:
        values += read_cursor(after, row_number)
        where += f" and (at, id) < (${len(values) - 1}, ${len(values)})"
    rows = await fetch(
        "select id, at, level, service, message, is_system, is_stderr, meta, received_at"  # noqa: S608  (our words)
        f" from device_log where {where}"
        f" order by at desc, id desc limit {first + 1} offset {offset}",
        *values,
    )
    items = [
        StoredLine(agent_uuid=agent.uuid, meta=orjson.loads(row.pop("meta")), **row)
        for row in rows[:first]
    ]
    cursors = [cursor_at(line.at, line.id) for line in items]
    return OpenSlice(items, cursors, len(rows) > first)


async def services_of_logs(tenant_id: int, agent_id: int) -> list[str]:
    """Return the names of services that an agent has lines of, in order."""
    return [row["service"] for row in await fetch(_SERVICES, tenant_id, agent_id)]
