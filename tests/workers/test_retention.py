"""Partitions are there before they are needed, and the journal ends where the policy says."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from core.policy import Policy
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.database import DatabaseUrl, open_pool
from models.timeseries.partitions import ensure_partitions
from tests.doubles import ManualClock
from tests.source import ROOT
from tests.tools import reachable_folder, until
from workers.retention import Retention

pytestmark = pytest.mark.slow
NOW = datetime(2031, 5, 17, 23, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
async def own_pool() -> AsyncIterator[asyncpg.Pool]:
    """A database of its own: what is dropped here would be missed elsewhere."""
    with reachable_folder() as folder:
        async for pool in _own_pool(folder):
            yield pool


async def _own_pool(folder: Path) -> AsyncIterator[asyncpg.Pool]:
    server = EmbeddedPostgres(folder)
    text = await server.start()
    url = DatabaseUrl.parse(text)
    # In a process of its own: the ORM knows one database per process.
    migrate = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetgraph", "migrate"),
        env=os.environ | {"FLEETGRAPH_DATABASE_URL": text},
        cwd=ROOT,
    )
    assert await migrate.wait() == 0
    pool = await open_pool(url)
    yield pool
    await pool.close()
    await server.stop()


async def partitions(pool: asyncpg.Pool, table: str) -> list[str]:
    rows = await pool.fetch(
        "select inhrelid::regclass::text as name from pg_inherits"
        " where inhparent = $1::text::regclass order by 1",
        table,
    )
    return [row["name"] for row in rows]


async def test_makes_the_next_partitions(own_pool: asyncpg.Pool) -> None:
    await Retention(own_pool, ManualClock(NOW), Policy()).step()
    histories = ("agent_metric", "endpoint_health_history", "state_history")
    for table in ("reading_hot", "reading_text", "device_log", *histories):
        assert await partitions(own_pool, table) == [f"{table}_20310517", f"{table}_20310518"]
    assert await partitions(own_pool, "journal") == [
        "journal_2031051723",
        "journal_2031051800",
        "journal_2031051801",
    ]


async def test_drops_what_the_journal_need_not_keep_and_notes_how_far(
    own_pool: asyncpg.Pool,
) -> None:
    clock = ManualClock(NOW)
    old = NOW - timedelta(hours=9)
    async with own_pool.acquire() as conn:
        await ensure_partitions(conn, "journal", [old, NOW - timedelta(hours=6)])
    await own_pool.execute(
        "insert into journal (tenant_id, agent_id, reading_count, at, body) values (1, 1, 1, $1, '')",
        old,
    )
    xid = await own_pool.fetchval("select max(xid) from journal")
    await Retention(own_pool, clock, Policy(journal_hours=6)).step()
    names = await partitions(own_pool, "journal")
    assert "journal_2031051714" not in names
    assert "journal_2031051717" in names, "the hour in which the policy ends is kept whole"
    assert await own_pool.fetchval("select dropped_xid from journal_horizon") == xid


async def test_drops_whole_days_of_logs_and_figures_that_are_too_old(
    own_pool: asyncpg.Pool,
) -> None:
    for table, days in (
        *(("device_log", 90), ("agent_metric", 30)),
        *(("endpoint_health_history", 30), ("state_history", 30)),
    ):
        kept, old = NOW - timedelta(days=days), NOW - timedelta(days=days + 1)
        async with own_pool.acquire() as conn:
            await ensure_partitions(conn, table, [kept, old])
        await Retention(own_pool, ManualClock(NOW), Policy()).step()
        names = await partitions(own_pool, table)
        assert f"{table}_{old:%Y%m%d}" not in names
        assert f"{table}_{kept:%Y%m%d}" in names, "the day in which the time ends is kept whole"


async def test_a_second_step_changes_nothing(own_pool: asyncpg.Pool) -> None:
    worker = Retention(own_pool, ManualClock(NOW), Policy())
    await worker.step()
    before = await partitions(own_pool, "journal")
    await worker.step()
    assert await partitions(own_pool, "journal") == before


async def test_finishes_a_drop_that_was_cut_off_half_way(own_pool: asyncpg.Pool) -> None:
    old = NOW - timedelta(hours=12)
    async with own_pool.acquire() as conn:
        await ensure_partitions(conn, "journal", [old])
    async with own_pool.acquire() as reader, own_pool.acquire() as conn, reader.transaction():
        await reader.fetch("select 1 from journal")  # holds the parent while it is detached
        with pytest.raises(TimeoutError):
            await conn.execute(
                "alter table journal detach partition journal_2031051711 concurrently",
                timeout=1.0,
            )
        await until(lambda: _nothing_detaches(own_pool), "the server gave up")
    assert "journal_2031051711" in await partitions(own_pool, "journal"), "it is still pending"
    await Retention(own_pool, ManualClock(NOW), Policy(journal_hours=6)).step()
    assert "journal_2031051711" not in await partitions(own_pool, "journal")


async def _nothing_detaches(pool: asyncpg.Pool) -> bool:
    running = (
        "select count(*) from pg_stat_activity"
        " where query like 'alter table journal detach%' and state = 'active'"
    )
    return not await pool.fetchval(running)
