"""Log batches in the order in which they were committed: what a live tail goes by.

A batch's transaction says whether a snapshot shows it, as with readings (docs/adr/0003).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.snapshots import Position, Snapshot
from models.conditions import Conditions
from models.connection import fetch

ARRIVALS_MAX: Final = 1_000

_VISIBLE: Final = "pg_visible_in_snapshot(xid::text::xid8, {}::text::pg_snapshot)"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that was committed: which lines of which agent it is, and where it stands."""

    id: int
    xid: int
    agent_id: int
    agent_uuid: UUID
    line_count: int
    first_id: int
    last_id: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class TailScope:
    """Whose lines are followed: one agent's, those of a fleet, or all of the tenant."""

    tenant_id: int
    agent_id: int | None = None
    fleet_id: UUID | None = None


async def current_snapshot() -> Snapshot:
    """Return what is visible now."""
    (row,) = await fetch("select pg_current_snapshot()::text as text")
    return Snapshot.parse(row["text"])


async def arrivals_between(
    scope: TailScope, since: Position, upto: Snapshot
) -> tuple[list[Arrival], int]:
    """Return batches that `upto` shows beyond `since`, in order, and lines of those left out.

    Those are the oldest, when there are more than ARRIVALS_MAX. `since` stands in the look that
    ends with `upto`.
    """
    where = Conditions(scope.tenant_id)
    where.add("xid >= {} and line_count > 0", since.base.xmin)
    where.add(f"not {_VISIBLE}", str(since.base))
    where.add(_VISIBLE, str(upto))
    where.add("id > {}", since.seq)
    if scope.agent_id is not None:
        where.add("agent_id = {}", scope.agent_id)
    if scope.fleet_id is not None:
        where.add("fleet_id = {}", scope.fleet_id)
    rows = await fetch(
        "select id, xid, agent_id, agent_uuid, line_count, first_id, last_id, first_at, last_at"  # noqa: S608  (parameters only)
        " from (select b.*, a.uuid as agent_uuid, a.fleet_id from log_batch b"
        " join agent a on a.tenant_id = b.tenant_id and a.id = b.agent_id) arrival"
        f" where {where} order by id desc limit {ARRIVALS_MAX + 1}",
        *where.values,
    )
    found = [Arrival(**row) for row in reversed(rows)]
    left_out = found[: max(0, len(found) - ARRIVALS_MAX)]
    return found[len(left_out) :], sum(each.line_count for each in left_out)
