"""What ingest counts of agents' traffic reaches their rows, once."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from core.callers import system_caller
from core.context import Context
from core.errors import Unavailable
from models.agents import Agent
from resolvers.broker_view import find_agent_traffic, record_traffic
from tests.factories import make_agent
from tests.workers.plants import message, plant_of, reading
from workers import agent_traffic
from workers.agent_traffic import TrafficCounter


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def counted(ctx: Context, *agents: Agent) -> list[tuple[int, int]]:
    rows = await find_agent_traffic(ctx, [agent.id for agent in agents])
    return [(rows[a.id].messages, rows[a.id].bytes) if a.id in rows else (0, 0) for a in agents]


async def test_what_was_taken_before_a_clean_stop_is_counted(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx)
    telemetry, state = message(reading()), b'{"version": 1}'
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, telemetry))
        await (await plant.send(agent, state, "events/x"))
        await (await plant.send(agent, b"not readable"))
        await (await plant.send(other, b"", "meta/dictionary"))
        assert await counted(ctx, agent, other) == [(0, 0), (0, 0)]
    size = len(telemetry) + len(state) + len(b"not readable")
    assert await counted(ctx, agent, other) == [(3, size), (1, 0)]


async def test_two_ingests_add_up(ctx: Context, agent: Agent) -> None:
    body = message(reading())
    async with plant_of(ctx) as one, plant_of(ctx) as two:
        for plant in (one, two, two):
            await (await plant.send(agent, body))
    assert await counted(ctx, agent) == [(3, 3 * len(body))]


async def test_counts_are_stored_regularly_and_once(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_traffic, "FLUSH_SECONDS", 0.01)
    body = message(reading())
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, body))
        async with asyncio.timeout(10):
            while await counted(ctx, agent) == [(0, 0)]:  # noqa: ASYNC110  (only asking tells)
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    assert await counted(ctx, agent) == [(1, len(body))]


@pytest.mark.parametrize(
    "error", [Unavailable("database"), ValueError("odd")], ids=["away", "refused"]
)
async def test_what_cannot_be_stored_is_counted_on(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    counter = TrafficCounter(ctx.acting_as(system_caller(0)))
    counter.of(agent.id).count(10, ctx.clock.now())
    with monkeypatch.context() as patched:
        patched.setattr(agent_traffic, "record_traffic", AsyncMock(side_effect=error))
        await counter.flush()
    counter.of(agent.id).count(5, ctx.clock.now())
    await counter.close()
    assert await counted(ctx, agent) == [(2, 15)]


async def test_an_end_waits_for_what_is_being_stored(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_traffic, "FLUSH_SECONDS", 0.01)
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: object) -> None:
        began.set()
        await go_on.wait()
        await record_traffic(*arguments)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(agent_traffic, "record_traffic", slowly)
    counter = TrafficCounter(ctx.acting_as(system_caller(0)))
    counter.of(agent.id).count(10, ctx.clock.now())
    running = asyncio.create_task(counter.run())
    await began.wait()
    running.cancel()
    closing = asyncio.create_task(counter.close())
    await asyncio.sleep(0.01)
    go_on.set()
    await closing
    assert await counted(ctx, agent) == [(1, 10)]
