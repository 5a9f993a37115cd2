"""What a connection was told is what it remembers, through every kind of failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from core.context import Context
from core.fence import fence
from models.database import DatabaseUrl, open_pool
from tests.factories import make_agent, make_tenant

TOLD = "select current_setting('fleetgraph.tenant')"


@pytest.fixture
async def narrow(database_url: DatabaseUrl) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(database_url, max_size=1)
    yield pool
    await pool.close()


async def test_a_tenant_that_it_knows_costs_no_statement(narrow: asyncpg.Pool) -> None:
    sent: list[str] = []
    with fence(7):
        async with narrow.acquire() as connection:
            connection.add_query_logger(lambda record: sent.append(record.query))
        for _ in range(3):
            async with narrow.acquire():
                pass
    assert [sql for sql in sent if "advisory" not in sql] == []
    async with narrow.acquire():
        pass
    assert [sql for sql in sent if "advisory" not in sql] == ["set fleetgraph.tenant = '0'"]


async def test_a_rollback_takes_nothing_back(narrow: asyncpg.Pool) -> None:
    with fence(7):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with narrow.acquire() as connection, connection.transaction():
                await connection.execute("select 1 / 0")
        assert await told(narrow) == "7"


async def test_a_statement_that_runs_out_of_time_leaves_it_right(narrow: asyncpg.Pool) -> None:
    with fence(7), pytest.raises(TimeoutError):
        await narrow.fetch("select pg_sleep(5)", timeout=0.05)
    with fence(8):
        assert await told(narrow) == "8"


async def test_whenever_an_acquire_is_cancelled_the_next_is_right(narrow: asyncpg.Pool) -> None:
    cut = 0
    for turn in range(40):
        task = asyncio.create_task(told_as(narrow, 100 + turn))
        for _ in range(turn % 8):
            await asyncio.sleep(0)
        task.cancel()
        cut += isinstance((await asyncio.gather(task, return_exceptions=True))[0], BaseException)
        tenant_id = random.choice([100 + turn, 200 + turn])
        assert await told_as(narrow, tenant_id) == str(tenant_id)
    assert cut


async def test_what_was_cut_off_while_it_was_told_is_told_again(narrow: asyncpg.Pool) -> None:
    async with narrow.acquire() as connection:
        with fence(7):
            await connection.raise_fence()
        with fence(8):
            telling = asyncio.create_task(connection.raise_fence())
        await asyncio.sleep(0)  # it is sent, and may have been heard
        telling.cancel()
        assert await asyncio.wait([telling])
        with fence(7):
            await connection.raise_fence()
        assert await connection.fetchval(TOLD) == "7"


async def test_what_could_not_be_told_is_told_again(narrow: asyncpg.Pool) -> None:
    async with narrow.acquire() as connection:
        busy = asyncio.create_task(connection.execute("select pg_sleep(0.05)"))
        await asyncio.sleep(0)
        with fence(8):
            with pytest.raises(asyncpg.InterfaceError):
                await connection.raise_fence()
            await busy
            await connection.raise_fence()
        assert await connection.fetchval(TOLD) == "8"


async def test_a_server_that_ends_the_connection_leaves_the_next_right(
    narrow: asyncpg.Pool,
) -> None:
    with fence(7), pytest.raises(asyncpg.PostgresConnectionError):
        await narrow.execute("select pg_terminate_backend(pg_backend_pid())")
    assert await told_as(narrow, 7) == "7"


async def test_fifty_tasks_of_five_tenants_on_three_connections(
    database_url: DatabaseUrl, ctx: Context
) -> None:
    tenants = [(await make_tenant(ctx.clock, ctx.ids)).id for _ in range(5)]
    for tenant_id in tenants:
        await make_agent(ctx, tenant_id=tenant_id)
    pool = await open_pool(database_url, max_size=3)
    dice = random.Random(20261124)

    async def work(tenant_id: int) -> None:
        for _ in range(6):
            with fence(tenant_id):
                await _trouble(pool, dice.randrange(5))
                found = await pool.fetch("select distinct tenant_id from agent")
                assert [row["tenant_id"] for row in found] == [tenant_id]

    await asyncio.gather(*(work(tenants[number % 5]) for number in range(50)))
    await pool.close()


async def told(pool: asyncpg.Pool) -> str:
    value: str = await pool.fetchval(TOLD)
    return value


async def told_as(pool: asyncpg.Pool, tenant_id: int) -> str:
    with fence(tenant_id):
        return await told(pool)


async def _trouble(pool: asyncpg.Pool, kind: int) -> None:
    """Use a connection in one of the ways that end badly; two of five are none."""
    if kind == 0:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("select 1 / 0")
    elif kind == 1:
        with pytest.raises(TimeoutError):
            await pool.fetch("select pg_sleep(5)", timeout=0.002)
    elif kind == 2:
        task = asyncio.create_task(told(pool))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
