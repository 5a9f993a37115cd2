"""A listener sees every committed reading once: joining, resuming, lagging, overlapping."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import asyncpg
import pytest

from core.context import Context
from core.errors import InvalidInput
from core.events import JOURNAL, JournalGrew
from core.live import LiveBatch, LiveFilter, ReadingFeed
from core.paging import encode_cursor
from core.snapshots import Position, Snapshot
from models.agents import Agent
from models.timeseries import listeners
from models.timeseries.live import JournalHub
from models.timeseries.retention import forget_foreign_journal
from tests.factories import make_agent
from tests.models.timeseries.test_store import T0_US, of

pytestmark = pytest.mark.slow

ALL = LiveFilter()


async def store(ctx: Context, agent: Agent, start: int, count: int, metric: str = "a") -> None:
    await ctx.readings.append([of(agent, *((metric, start + i, float(i)) for i in range(count)))])
    await ctx.bus.publish(JOURNAL, JournalGrew())


@asynccontextmanager
async def follow(
    ctx: Context, tenant_id: int, wanted: LiveFilter, after: str | None
) -> AsyncIterator[AsyncIterator[LiveBatch]]:
    position = await ctx.live.find(after) if after else None
    async with aclosing(aiter(ReadingFeed(ctx.live, tenant_id, wanted, position))) as stream:  # type: ignore[type-var]  # it is a generator
        yield stream


async def take(
    stream: AsyncIterator[LiveBatch], readings: int
) -> tuple[list[tuple[str, int]], str]:
    """Take whole batches until `readings` came; returns (metric, offset) of each and the cursor."""
    seen: list[tuple[str, int]] = []
    cursor = ""
    async with asyncio.timeout(20):
        while len(seen) < readings:
            batch = await anext(stream)
            info = batch.columns.info
            seen += [(info.metric, int(t) - T0_US) for t in batch.columns.times_us]
            cursor = batch.cursor
    return seen, cursor


async def test_starts_with_the_newest_reading_and_goes_on(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 3)
    await store(ctx, agent, 0, 2, "b")
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        assert (await take(stream, 2))[0] == [("a", 2), ("b", 1)]
        await store(ctx, agent, 10, 2)
        assert (await take(stream, 2))[0] == [("a", 10), ("a", 11)]


async def test_a_replayed_reading_is_not_pushed_again(ctx: Context) -> None:
    agent = await make_agent(ctx)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        follower = asyncio.ensure_future(take(stream, 4))
        await asyncio.sleep(0.1)
        await store(ctx, agent, 0, 3)
        await store(ctx, agent, 0, 4)
        assert (await follower)[0] == [("a", 0), ("a", 1), ("a", 2), ("a", 3)]


async def test_resumes_after_any_cursor_without_gap_or_repeat(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        _, cursor = await take(stream, 1)
    expected = []
    for n in range(1, 6):
        await ctx.readings.append(
            [of(agent, ("a", n, 1.0), ("b", n, 1.0)), of(agent, ("c", n, 1.0))]
        )
        expected += [("a", n), ("b", n), ("c", n)]
    await ctx.bus.publish(JOURNAL, JournalGrew())
    seen = []
    for _ in range(len(expected)):  # a new connection for every single batch
        async with follow(ctx, ctx.tenant_id, ALL, cursor) as stream:
            got, cursor = await take(stream, 1)
            seen += got
    assert sorted(seen) == sorted(expected)
    assert [time for _, time in seen] == [time for _, time in expected]


async def test_a_transaction_that_commits_late_is_not_lost(
    ctx: Context, pool: asyncpg.Pool
) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream, pool.acquire() as conn:
        await take(stream, 1)
        late = conn.transaction()
        await late.start()
        # Draws its transaction id and its journal number first, and commits last.
        await conn.execute(
            "insert into journal (tenant_id, agent_id, reading_count, at, body)"
            " select tenant_id, agent_id, reading_count, at, body from journal where agent_id = $1",
            agent.id,
        )
        await store(ctx, agent, 5, 1)
        seen, _ = await take(stream, 1)
        assert seen == [("a", 5)]
        await late.commit()
        await ctx.bus.publish(JOURNAL, JournalGrew())
        assert (await take(stream, 1))[0] == [("a", 0)]


async def test_a_listener_that_falls_behind_still_gets_everything(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "QUEUE_ROWS_MAX", 3)
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        await take(stream, 1)
        for n in range(1, 21):
            await store(ctx, agent, n, 1)
            await asyncio.sleep(0.01)
        assert (await take(stream, 20))[0] == [("a", n) for n in range(1, 21)]


async def test_filters_by_agent_and_metric(ctx: Context) -> None:
    one, two = await make_agent(ctx), await make_agent(ctx)
    wanted = LiveFilter(one.id, {"b"})
    await store(ctx, one, 0, 1, "b")
    async with follow(ctx, ctx.tenant_id, wanted, None) as stream:
        assert (await take(stream, 1))[0] == [("b", 0)]
        await store(ctx, one, 1, 1, "a")
        await store(ctx, two, 1, 1, "b")
        await store(ctx, one, 2, 1, "b")
        assert (await take(stream, 1))[0] == [("b", 2)]


async def test_another_tenant_gets_nothing_even_with_a_cursor(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        _, cursor = await take(stream, 1)
    await store(ctx, agent, 1, 1)
    for after in (None, cursor):
        async with follow(ctx, ctx.tenant_id + 1_000_000, ALL, after) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(stream)


async def test_without_a_listener_the_hub_does_nothing(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    assert isinstance(ctx.live, JournalHub)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        await take(stream, 1)
        assert ctx.live.listener_count == 1
    assert ctx.live.listener_count == 0
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "journal hub"]


async def test_a_cursor_older_than_the_journal_is_refused(ctx: Context, pool: asyncpg.Pool) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        _, cursor = await take(stream, 1)
    await pool.execute("update journal_horizon set dropped_xid = $1", 2**40)
    try:
        with pytest.raises(InvalidInput, match="older than the journal"):
            async with follow(ctx, ctx.tenant_id, ALL, cursor):
                pass
    finally:
        await pool.execute("update journal_horizon set dropped_xid = 0")


@pytest.mark.parametrize("snapshot", ["0:1:", f"1:{2**61}:", "5:4:", "1:9:9", "1:9:x", "1:2"])
def test_refuses_what_is_no_snapshot(snapshot: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Snapshot.parse(snapshot)
    with pytest.raises(InvalidInput):
        Position.decode(encode_cursor(snapshot))
    with pytest.raises(InvalidInput):
        Position.decode(encode_cursor(f"1:2:~{snapshot}~1~1"))


@pytest.mark.parametrize("cursor", ["x", "MTox", "////", "MTo", "a" * 9_000, "é"])
async def test_refuses_what_is_no_cursor(ctx: Context, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        async with follow(ctx, ctx.tenant_id, ALL, cursor):
            pass


async def test_many_writers_and_reconnecting_readers_lose_and_repeat_nothing(
    ctx: Context,
) -> None:
    agents = [await make_agent(ctx) for _ in range(3)]
    for agent in agents:
        await store(ctx, agent, 0, 1)
    per_writer = 40
    dice = random.Random(7)

    async def write(agent: Agent) -> None:
        for n in range(1, per_writer + 1):
            await store(ctx, agent, n, 1)
            await asyncio.sleep(dice.random() * 0.005)

    async def read(interrupting: bool) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        cursor: str | None = None
        while len(seen) < len(agents) * (per_writer + 1):
            async with AsyncExitStack() as stack:
                stream = await stack.enter_async_context(follow(ctx, ctx.tenant_id, ALL, cursor))
                for _ in range(dice.randint(1, 6) if interrupting and cursor else 10_000):
                    async with asyncio.timeout(10):
                        batch = await anext(stream)
                    agent_id = batch.columns.info.agent_id
                    seen += [(agent_id, int(t) - T0_US) for t in batch.columns.times_us]
                    cursor = batch.cursor or cursor
                    if len(seen) >= len(agents) * (per_writer + 1):
                        break
        return seen

    readers = [asyncio.ensure_future(read(interrupting=n % 2 == 0)) for n in range(4)]
    await asyncio.sleep(0.1)
    await asyncio.gather(*(write(agent) for agent in agents))
    expected = sorted((a.id, n) for a in agents for n in range(per_writer + 1))
    for seen in await asyncio.gather(*readers):
        assert sorted(seen) == expected


async def test_a_journal_of_another_server_is_emptied_and_its_cursors_are_refused(
    ctx: Context, pool: asyncpg.Pool
) -> None:
    agent = await make_agent(ctx)
    await store(ctx, agent, 0, 1)
    future = 2**40
    async with pool.acquire() as conn:
        assert not await forget_foreign_journal(conn)
        await conn.execute("update journal set xid = $1 where agent_id = $2", future, agent.id)
        assert await forget_foreign_journal(conn)
        assert not await conn.fetchval("select count(*) from journal where agent_id = $1", agent.id)
    cursor = Position(Snapshot(future, future)).encode()
    with pytest.raises(InvalidInput, match="another database"):
        async with follow(ctx, ctx.tenant_id, ALL, cursor):
            pass
    await store(ctx, agent, 1, 1)
    async with follow(ctx, ctx.tenant_id, ALL, None) as stream:
        assert (await take(stream, 1))[0] == [("a", 1)]
