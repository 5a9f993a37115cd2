"""What agents tell of log lines that they had to drop unsent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from core.paging import OpenSlice
from models.agents import Agent
from models.conditions import Conditions
from models.connection import fetch
from models.pages import cursor_at, read_cursor, row_number

_INSERT = """
insert into log_drop (tenant_id, agent_id, reported_at, received_at, digest, total_count, summary)
select $1, $2, $3, $4, each.* from unnest($5::bytea[], $6::bigint[], $7::jsonb[]) as each
on conflict (tenant_id, agent_id, digest) do nothing
"""

_PURGE = """
delete from log_drop where id in (
    select id from log_drop where received_at < $1 order by received_at limit $2
    for update skip locked
) returning tenant_id
"""


@dataclass(frozen=True, slots=True)
class LogDropped:
    """A summary as it is written: its JSON text, and what it is known again by."""

    total_count: int
    summary: str
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class LogDrop:
    """Lines that an agent never sent, as it told of them."""

    id: int
    agent_uuid: Any
    total_count: int
    summary: dict[str, Any]
    reported_at: datetime | None
    received_at: datetime


async def append_log_drops(
    tenant_id: int,
    agent_id: int,
    drops: Sequence[LogDropped],
    reported_at: datetime | None,
    now: datetime,
) -> None:
    """Store summaries, except those that are there already."""
    await fetch(
        _INSERT,
        tenant_id,
        agent_id,
        reported_at,
        now,
        [drop.digest for drop in drops],
        [drop.total_count for drop in drops],
        [drop.summary for drop in drops],
    )


async def page_of_log_drops(agent: Agent, first: int, after: str | None) -> OpenSlice[LogDrop]:
    """Return summaries of an agent, newest first; raises InvalidInput for a cursor."""
    where = Conditions(agent.tenant_id)
    where.add("agent_id = {}", agent.id)
    if after is not None:
        where.add("(received_at, id) < ({}, {})", *read_cursor(after, row_number))
    rows = await fetch(
        "select id, total_count, summary, reported_at, received_at from log_drop"  # noqa: S608  (parameters only)
        f" where {where} order by received_at desc, id desc limit {first + 1}",
        *where.values,
    )
    items = [
        LogDrop(agent_uuid=agent.uuid, summary=orjson.loads(row.pop("summary")), **row)
        for row in rows[:first]
    ]
    cursors = [cursor_at(drop.received_at, drop.id) for drop in items]
    return OpenSlice(items, cursors, len(rows) > first)


async def sum_of_log_drops(
    tenant_id: int, agent_ids: Collection[int], since: datetime | None, until: datetime | None
) -> int:
    """Return how many lines agents told in that time that they had dropped."""
    where = Conditions(tenant_id)
    where.add("agent_id = any({}::int[])", list(agent_ids))
    if since is not None:
        where.add("received_at >= {}", since)
    if until is not None:
        where.add("received_at < {}", until)
    (row,) = await fetch(
        f"select coalesce(sum(total_count), 0)::bigint as total from log_drop where {where}",  # noqa: S608  (as above)
        *where.values,
    )
    return int(row["total"])


async def purge_log_drops(before: datetime, limit: int) -> int:
    """Forget summaries of all tenants that came before then, at most `limit`; returns how many."""
    return len(await fetch(_PURGE, before, limit))
