"""Partitions ahead of time, and the end of old ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from models.timeseries.partitions import (
    WIDTHS,
    drop_partitions,
    ensure_partitions,
    partitions_before,
)
from models.unit_of_work import database_errors

_LOCK = 0x64726F70  # "drop": one program drops at a time


async def make_ahead(pool: asyncpg.Pool, wanted: Mapping[str, Sequence[datetime]]) -> None:
    """Create the partitions that hold the given moments, by table."""
    with database_errors():
        async with pool.acquire() as conn:
            for table, moments in wanted.items():
                assert table in WIDTHS
                await ensure_partitions(conn, table, moments)


async def drop_journal_before(pool: asyncpg.Pool, moment: datetime) -> list[str]:
    """Drop journal partitions that ended before `moment`; returns their names.

    What is dropped is noted first, so that a listener who would resume from there is told
    instead of missing readings.
    """
    async with _dropping(pool, "journal", moment) as (conn, names):
        for name in names:
            newest = f"select coalesce(max(xid), 0) from {name}"  # noqa: S608  (our own name)
            await conn.execute(
                "update journal_horizon set dropped_xid = greatest(dropped_xid, $1)",
                await conn.fetchval(newest),
            )
    return names


async def drop_days_before(pool: asyncpg.Pool, table: str, moment: datetime) -> list[str]:
    """Drop the partitions of a table that ended before `moment`; returns their names."""
    async with _dropping(pool, table, moment) as (_, names):
        return names


@asynccontextmanager
async def _dropping(
    pool: asyncpg.Pool, table: str, moment: datetime
) -> AsyncIterator[tuple[Any, list[str]]]:
    """Tell which partitions are dropped when the block has ended; none if another program does."""
    with database_errors():
        async with pool.acquire() as conn:
            if not await conn.fetchval("select pg_try_advisory_lock($1)", _LOCK):
                yield conn, []
                return
            try:
                names = await partitions_before(conn, table, moment)
                yield conn, names
                await drop_partitions(conn, table, names)
            finally:
                await conn.execute("select pg_advisory_unlock($1)", _LOCK)


async def forget_foreign_journal(conn: Any) -> bool:
    """Empty a journal that another server wrote; returns whether it was one.

    Transaction ids belong to one server. After a restore from a dump the journal's lie in the
    future of the new one; listeners would get them at every look. Its readings are all stored.
    """
    is_foreign = await conn.fetchval(
        "select coalesce((select max(xid) from journal), 0) >= x or"
        " (select dropped_xid from journal_horizon) >= x"
        " from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as x) now"
    )
    if is_foreign:
        async with conn.transaction():
            await conn.execute("truncate journal")
            await conn.execute("update journal_horizon set dropped_xid = 0")
    return bool(is_foreign)
