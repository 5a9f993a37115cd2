"""Log lines of agents, read back: in daily partitions, outside the ORM."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.errors import InvalidInput
from core.paging import OpenSlice
from models.agent_lists import AgentFilter, conditions_of
from models.conditions import Conditions
from models.connection import fetch, json_text
from models.log_arrivals import Arrival
from models.log_conditions import LogFilter, add_log_filter
from models.pages import cursor_at, read_cursor, row_number

COUNT_MAX: Final = 10_000

_COLUMNS: Final = (
    "id, agent_id, at, level, service, message, is_system, is_stderr, meta, received_at"
)

# An index gives the next name after another: as many steps as there are services, not lines.
_SERVICES: Final = """
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
class LogScope:
    """Whose lines: the uuids of agents of one tenant, by id."""

    tenant_id: int
    agents: Mapping[int, UUID]

    def conditions(self) -> Conditions:
        """Return the same for a statement."""
        where = Conditions(self.tenant_id)
        if len(self.agents) == 1:  # which an index on the agent serves, in the order of times
            where.add("agent_id = {}", *self.agents)
        else:
            where.add("agent_id = any({}::int[])", list(self.agents))
        return where


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


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a page stands: behind `after`, or before `before`; at most one of them is given."""

    first: int
    after: str | None = None
    before: str | None = None
    offset: int = 0


def meta_json(meta: dict[str, Any]) -> str:
    """Return the free facts of a line as JSON text; what is nested too deeply is left out."""
    try:
        return json_text(meta, "meta")
    except InvalidInput:
        return "{}"


async def scope_of_logs(
    tenant_id: int, wanted: AgentFilter, uuids: Collection[UUID] | None
) -> LogScope:
    """Return the agents that a filter picks, and of these the named ones."""
    where = conditions_of(tenant_id, wanted)
    if uuids is not None:
        where.add("uuid = any({}::uuid[])", list(uuids))
    rows = await fetch(f"select id, uuid from agent where {where}", *where.values)  # noqa: S608  (parameters only)
    return LogScope(tenant_id, {row["id"]: row["uuid"] for row in rows})


async def page_of_logs(
    scope: LogScope, wanted: LogFilter, place: LogPlace
) -> OpenSlice[StoredLine]:
    """Return lines, newest first; raises InvalidInput for a cursor.

    With `before` those are the oldest of the lines that are newer; the slice then tells whether
    there are still newer ones.
    """
    where = scope.conditions()
    add_log_filter(where, wanted)
    order = "desc"
    if place.after is not None:
        where.add("(at, id) < ({}, {})", *read_cursor(place.after, row_number))
    elif place.before is not None:
        where.add("(at, id) > ({}, {})", *read_cursor(place.before, row_number, "before"))
        order = "asc"
    rows = await fetch(
        f"select {_COLUMNS} from device_log where {where}"  # noqa: S608  (as above)
        f" order by at {order}, id {order} limit {place.first + 1} offset {place.offset}",
        *where.values,
    )
    items = [_stored(row, scope.agents[row["agent_id"]]) for row in rows[: place.first]]
    if order == "asc":
        items.reverse()
    cursors = [cursor_at(line.at, line.id) for line in items]
    return OpenSlice(items, cursors, len(rows) > place.first)


async def count_lines(scope: LogScope, wanted: LogFilter) -> int | None:
    """Return how many lines match; None when there are more than COUNT_MAX."""
    where = scope.conditions()
    add_log_filter(where, wanted)
    (row,) = await fetch(
        f"select count(*) as number from (select from device_log where {where}"  # noqa: S608  (as above)
        f" limit {COUNT_MAX + 1}) found",
        *where.values,
    )
    return None if row["number"] > COUNT_MAX else int(row["number"])


async def lines_of_batch(
    tenant_id: int, batch: Arrival, wanted: LogFilter, limit: int
) -> list[StoredLine]:
    """Return the last lines of a batch that match, in the order in which the agent sent them."""
    where = LogScope(tenant_id, {batch.agent_id: batch.agent_uuid}).conditions()
    where.add("at between {} and {}", batch.first_at, batch.last_at)
    where.add("id between {} and {}", batch.first_id, batch.last_id)
    add_log_filter(where, wanted)
    rows = await fetch(
        f"select {_COLUMNS} from device_log where {where} order by id desc limit {limit}",  # noqa: S608  (as above)
        *where.values,
    )
    return [_stored(row, batch.agent_uuid) for row in reversed(rows)]


async def services_of_logs(tenant_id: int, agent_id: int) -> list[str]:
    """Return the names of services that an agent has lines of, in order."""
    return [row["service"] for row in await fetch(_SERVICES, tenant_id, agent_id)]


def _stored(row: dict[str, Any], agent_uuid: UUID) -> StoredLine:
    del row["agent_id"]
    return StoredLine(agent_uuid=agent_uuid, meta=orjson.loads(row.pop("meta")), **row)
