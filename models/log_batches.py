"""Batches of log lines: each stored once, together with its lines, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.connection import fetch, rows_connection
from models.open_days import open_day
from models.timeseries.partitions import ensure_partitions

LogRow = tuple[datetime, str, str, str, bool, bool, str]
"""At, level, service, message, whether of the system and of standard error, `meta` as JSON text."""

_LOCK = 0x6C6F6773  # "logs": one batch of an agent at a time

_FIND = """
select line_count from log_batch
where tenant_id = $1 and agent_id = $2 and batch_id = $3 and digest = $4
"""

# Not COPY, which would have to go past the parent and its row-level security (docs/adr/0014).
_LINES = """
with line as (
    insert into device_log (tenant_id, agent_id, received_at, at, level, service, message,
                            is_system, is_stderr, meta)
    select $1, $2, $3, each.*
    from unnest($4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::boolean[],
                $9::boolean[], $10::jsonb[]) as each
    returning id, at
)
"""

_STORE_SOME = f"{_LINES} select count(*), min(id), max(id), min(at), max(at) from line"  # noqa: S608  (ours)

_STORE_LAST = f"""{_LINES}
insert into log_batch (tenant_id, agent_id, received_at, batch_id, digest, line_count,
                       first_id, last_id, first_at, last_at)
select $1, $2, $3, $11, $12, count(*) + $13, least(min(id), $14), max(id), least(min(at), $15),
       greatest(max(at), $16)
from line
returning line_count, first_id, last_id
"""  # noqa: S608

ROWS_AT_ONCE = 5_000
"""Of one statement: others wait while its values are written out."""

_KEEP = "select id from agent where tenant_id = $1 and id = $2 for key share"

_PURGE = """
delete from log_batch where id in (
    select id from log_batch where received_at < $1 order by received_at limit $2
    for update skip locked
) returning tenant_id
"""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What became of a batch; the ids of its lines when it is new and has lines."""

    is_new: bool
    line_count: int
    first_id: int | None = None
    last_id: int | None = None


async def open_log_days(moments: Sequence[datetime], now: datetime) -> None:
    """Make the partitions that hold these moments.

    Outside the unit of work that writes: attaching a partition locks the table, and that lock
    must not last until somebody's upload has been stored.
    """
    near = timedelta(days=1)  # those days are never dropped while a process remembers them
    days = {moment.date(): moment for moment in moments}.values()
    for day in days:
        if abs(day - now) < near:
            await open_day("device_log", day)
    far = [day for day in days if abs(day - now) >= near]
    if far:
        async with rows_connection() as connection:
            await ensure_partitions(connection, "device_log", far)


async def append_log_batch(
    tenant_id: int,
    agent_id: int,
    batch_id: str,
    digest: bytes | None,
    rows: Sequence[LogRow],
    now: datetime,
) -> StoredBatch:
    """Store lines and their batch, unless the same was stored under the same id before.

    Batches of one agent go one after the other: a retry waits for the attempt before it, and no
    other lines of the agent have ids between those of a batch. Without a digest all is new.
    """
    async with rows_connection() as connection:
        await connection.execute("select pg_advisory_xact_lock($1, $2)", _LOCK, agent_id)
        if digest is not None:
            count = await connection.fetchval(_FIND, tenant_id, agent_id, batch_id, digest)
            if count is not None:
                return StoredBatch(is_new=False, line_count=count)
        whose = (tenant_id, agent_id, now)
        parts = [rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE)] or [rows]
        stored = [
            await connection.fetchrow(_STORE_SOME, *whose, *_columns(part)) for part in parts[:-1]
        ]
        row = await connection.fetchrow(
            _STORE_LAST,
            *whose,
            *_columns(parts[-1]),
            batch_id,
            digest,
            sum(count for count, *_ in stored),
            stored[0][1] if stored else None,
            min((part[3] for part in stored), default=None),
            max((part[4] for part in stored), default=None),
        )
        return StoredBatch(True, *row)


def _columns(rows: Sequence[LogRow]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[]] * 7


async def keep_agent(tenant_id: int, agent_id: int) -> bool:
    """Put off the end of an agent until the transaction ends; False when it has ended already."""
    return bool(await fetch(_KEEP, tenant_id, agent_id))


async def purge_log_batches(before: datetime, limit: int) -> int:
    """Forget batches of all tenants that came before then, at most `limit`; returns how many.

    Their lines stay. A batch that comes again after that is stored again.
    """
    return len(await fetch(_PURGE, before, limit))
