"""Who is there and who is not: sightings of agents, and requests to drop their sessions.

These statements run over all tenants at once where the program works for itself; a tenant given
narrows them to its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.connection import fetch


@dataclass(frozen=True, slots=True)
class Transition:
    """An agent that came online or went offline."""

    tenant_id: int
    agent_uuid: UUID


async def note_seen(
    agent_ids: Sequence[int], now: datetime, *, tenant_id: int | None
) -> list[Transition]:
    """Record that agents were seen now; returns those that had been offline.

    Rows are locked in the order of their ids, so that two batches never wait for each other.
    """
    rows = await fetch(
        "with before as ("
        " select id, is_online from agent"
        " where id = any($1::int[]) and is_active and ($3::int is null or tenant_id = $3)"
        " order by id for update)"
        " update agent a set is_online = true, last_seen_at = greatest(a.last_seen_at, $2),"
        " changed_at = case when before.is_online then a.changed_at else $2 end"
        " from before where a.id = before.id"
        " returning a.tenant_id, a.uuid, before.is_online as was_online",
        list(agent_ids),
        now,
        tenant_id,
    )
    return [Transition(row["tenant_id"], row["uuid"]) for row in rows if not row["was_online"]]


async def note_silent(seen_before: datetime, now: datetime) -> list[Transition]:
    """Turn agents offline that were not seen since; returns them. All tenants."""
    rows = await fetch(
        "with silent as ("
        " select id from agent"
        " where is_online and (last_seen_at is null or last_seen_at < $1) order by id for update)"
        " update agent a set is_online = false, changed_at = $2"
        " from silent where a.id = silent.id returning a.tenant_id, a.uuid",
        seen_before,
        now,
    )
    return [Transition(row["tenant_id"], row["uuid"]) for row in rows]


async def request_drops(
    agent_ids: Sequence[int] | None, seen_since: datetime | None, now: datetime
) -> int:
    """Ask for the MQTT sessions of these (or all) agents to be dropped; returns how many."""
    rows = await fetch(
        "update agent set session_drop_requested_at = $3"
        " where provisioning_state = 'provisioned'"
        " and ($1::int[] is null or id = any($1))"
        " and ($2::timestamptz is null or last_seen_at >= $2) returning id",
        None if agent_ids is None else list(agent_ids),
        seen_since,
        now,
    )
    return len(rows)


async def waiting_drops(limit: int) -> list[tuple[int, UUID]]:
    """Return id and uuid of agents whose session is to be dropped, longest wait first."""
    rows = await fetch(
        "select id, uuid from agent where session_drop_requested_at is not null"
        " order by session_drop_requested_at, id limit $1",
        limit,
    )
    return [(row["id"], row["uuid"]) for row in rows]


async def clear_drops(agent_ids: Sequence[int]) -> None:
    """Forget the requests of these agents."""
    await fetch(
        "update agent set session_drop_requested_at = null where id = any($1::int[])",
        list(agent_ids),
    )
