"""Writers whose commits overtake each other, members that come and go: nothing lost or repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from core.context import Context
from models.agents import Agent
from models.timeseries import listeners
from schema.execution.shared import LiveSubscriptions
from tests.factories import make_agent
from tests.schema.asking import record
from tests.schema.execution.members import Recorder, join, live, until

READINGS = """subscription($hz: Float, $after: String) {
  readings(maxHz: $hz, after: $after) { cursor agentUuid metric values }
}"""
METRICS = ("a", "b")
LAST = 60

Series = tuple[str, str]


@pytest.fixture
async def slow_commits(ctx: Context, pool: asyncpg.Pool) -> AsyncIterator[None]:
    """Transactions of this tenant linger between their journal row and their commit."""
    await pool.execute(
        "create function linger() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(random() * 0.02); return null; end $$"
    )
    await pool.execute(
        "create trigger linger after insert on journal for each row"
        f" when (new.tenant_id = {ctx.tenant_id}) execute function linger()"
    )
    yield
    await pool.execute("drop trigger linger on journal")
    await pool.execute("drop function linger")


class Reader:
    """What one person has seen, over one or several memberships."""

    def __init__(self) -> None:
        self.seen: dict[Series, list[float]] = {}
        self.dropped = 0
        self.cursor = ""

    def take(self, member: Recorder) -> None:
        for answer in member.answers:
            assert "errors" not in answer, answer
            self.dropped += answer.get("extensions", {}).get("dropped", 0)
            batch = answer["data"]["readings"]
            self.seen.setdefault((batch["agentUuid"], batch["metric"]), []).extend(batch["values"])
            self.cursor = batch["cursor"]
        member.payloads.clear()

    @property
    def is_done(self) -> bool:
        return len(self.seen) == 6 and all(LAST in values for values in self.seen.values())


async def write(ctx: Context, agent: Agent, metric: str, dice: random.Random) -> None:
    start = ctx.clock.now().replace(microsecond=0) - timedelta(hours=1)
    for at in range(1, LAST + 1):
        await record(ctx, agent, metric, [(start + timedelta(seconds=at), float(at))])
        await asyncio.sleep(dice.random() * 0.01)


async def stay(
    subscriptions: LiveSubscriptions, ctx: Context, reader: Reader, **given: Any
) -> None:
    member = Recorder()
    ticket = await join(subscriptions, ctx, READINGS, member, **given)
    async with asyncio.timeout(60):
        while not reader.is_done:
            await asyncio.sleep(0.01)
            reader.take(member)
    await ticket.close()


async def come_and_go(
    subscriptions: LiveSubscriptions,
    ctx: Context,
    reader: Reader,
    dice: random.Random,
    **given: Any,
) -> None:
    async with asyncio.timeout(60):
        while not reader.is_done:
            member = Recorder()
            ticket = await join(
                subscriptions, ctx, READINGS, member, after=reader.cursor or None, **given
            )
            await asyncio.sleep(dice.random() * 0.1)
            # Within its beginning a stream has no cursor yet.
            await until(lambda member=member: bool(member.payloads) and bool(_cursor(member)))  # type: ignore[misc]
            await ticket.close()
            reader.take(member)


async def doze(
    subscriptions: LiveSubscriptions, ctx: Context, reader: Reader, dice: random.Random
) -> None:
    member = Recorder()
    ticket = await join(subscriptions, ctx, READINGS, member)
    async with asyncio.timeout(60):
        while not reader.is_done:
            member.is_awake = False
            await asyncio.sleep(dice.random() * 0.2)
            member.is_awake = True
            ticket.flush()
            reader.take(member)
            await asyncio.sleep(dice.random() * 0.02)
            reader.take(member)
    await ticket.close()


def _cursor(member: Recorder) -> str:
    return str(member.data("readings")[-1]["cursor"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.usefixtures("slow_commits")
async def test_every_member_sees_its_beginning_and_then_every_reading_once(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(listeners, "QUEUE_ROWS_MAX", 6)
    dice = random.Random(seed)
    agents = [await make_agent(ctx) for _ in range(3)]
    start = ctx.clock.now().replace(microsecond=0) - timedelta(hours=1)
    for agent in agents:
        for metric in METRICS:
            await record(ctx, agent, metric, [(start, 0.0)])
    staying, leaving, dozing, merging, unsteady = ([Reader() for _ in range(4)] for _ in range(5))
    async with live(queue_events=4) as subscriptions, asyncio.TaskGroup() as tasks:
        for reader in staying:
            tasks.create_task(later(dice, stay(subscriptions, ctx, reader)))
        for reader in merging:
            tasks.create_task(later(dice, stay(subscriptions, ctx, reader, hz=20.0)))
        for reader in leaving:
            tasks.create_task(come_and_go(subscriptions, ctx, reader, dice))
        for reader in unsteady:
            tasks.create_task(come_and_go(subscriptions, ctx, reader, dice, hz=50.0))
        for reader in dozing:
            tasks.create_task(later(dice, doze(subscriptions, ctx, reader, dice)))
        for agent in agents:
            for metric in METRICS:
                tasks.create_task(write(ctx, agent, metric, dice))
    for reader in (*staying, *merging, *leaving):
        for values in reader.seen.values():
            assert values == whole(values[0])
    for reader in unsteady:  # resuming amid a merged delivery may repeat some of it
        for values in reader.seen.values():
            assert sorted(set(values)) == whole(values[0])
    for reader in dozing:
        missing = 0
        for values in reader.seen.values():
            assert values == sorted(set(values))
            assert values[-1] == LAST
            missing += len(whole(values[0])) - len(values)
        assert reader.dropped == missing
    assert sum(reader.dropped for reader in dozing) > 0


async def later(dice: random.Random, work: Any) -> None:
    await asyncio.sleep(dice.random())
    await work


def whole(first: float) -> list[float]:
    return [float(at) for at in range(int(first), LAST + 1)]
