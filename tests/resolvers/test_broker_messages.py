"""Publishers and who gives them work: nobody waits for ever, and the newest message wins."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from core.context import Context
from models.agent_updates import lock_agents
from models.agents import Agent
from models.broker_messages import put_message, put_messages, take_away_messages
from models.connection import fetch
from models.unit_of_work import unit_of_work
from resolvers.broker_messages import (
    BrokerMessage,
    give_messages_back,
    publish_all_again,
    take_messages,
)
from tests.factories import make_agent
from tests.resolvers.edge import system
from tests.tools import until

UPDATE = "agent/update"


async def put(ctx: Context, agent: Agent, payload: bytes, channel: str = UPDATE) -> None:
    await put_message(ctx.tenant_id, agent.id, channel, payload, ctx.clock.now())


async def taken(ctx: Context) -> list[BrokerMessage]:
    """Take everything, as a publisher; returns what is of this tenant, by agent."""
    found = await take_messages(system(ctx), 1_000)
    own = [message for message in found if message.tenant_id == ctx.tenant_id]
    return sorted(own, key=lambda message: message.agent_uuid)


async def payloads(ctx: Context) -> list[bytes]:
    return [message.payload for message in await taken(ctx)]


async def give_back(ctx: Context, messages: Sequence[BrokerMessage]) -> None:
    await give_messages_back(system(ctx), messages, published=True)


async def two_agents(ctx: Context) -> list[Agent]:
    agents = [await make_agent(ctx, name=f"gateway-{n}") for n in range(2)]
    return sorted(agents, key=lambda agent: agent.uuid)


async def is_waiting_for_a_row() -> bool:
    rows = await fetch(
        "select 1 from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock' and query like '%update broker_message%'"
    )
    return bool(rows)


@asynccontextmanager
async def putting_backwards(ctx: Context, agents: Sequence[Agent]) -> AsyncIterator[None]:
    """Hold the last agent's message; once the block has a publisher waiting, put the first's."""
    has_begun, go_on = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        async with unit_of_work(ctx):
            await put(ctx, agents[-1], b"new")
            has_begun.set()
            await go_on.wait()
            await put(ctx, agents[0], b"new")

    task = asyncio.create_task(change())
    await has_begun.wait()
    waiting = asyncio.create_task(until(is_waiting_for_a_row, "the publisher waits"))
    waiting.add_done_callback(lambda _: go_on.set())
    yield
    await waiting
    await task


PUBLISHER: dict[str, Callable[[Context, Sequence[BrokerMessage]], Awaitable[None]]] = {
    "gives back": give_back,
    "publishes again": lambda ctx, _: publish_all_again(system(ctx)),
}


@pytest.mark.parametrize("does", PUBLISHER)
async def test_a_publisher_and_a_change_of_many_agents_never_wait_for_each_other(
    ctx: Context, does: str
) -> None:
    agents = await two_agents(ctx)
    await put_messages(ctx.tenant_id, [a.id for a in agents], UPDATE, b"old", ctx.clock.now())
    messages = await taken(ctx)
    assert len(messages) == 2
    if does == "publishes again":
        await give_back(ctx, messages)
    async with putting_backwards(ctx, agents):
        await PUBLISHER[does](ctx, messages)
    assert await payloads(ctx) == [b"new", b"new"]


async def test_many_changes_and_publishers_at_once_end_with_the_newest_everywhere(
    ctx: Context,
) -> None:
    agents = [await make_agent(ctx, name=f"gateway-{n}") for n in range(12)]
    chance = random.Random(5)
    broker: dict[tuple[object, str], bytes] = {}

    async def change(number: int) -> None:
        order = chance.sample(agents, len(agents))
        async with unit_of_work(ctx):
            await lock_agents(ctx.tenant_id, [agent.uuid for agent in agents])
            for agent in order:
                await put(ctx, agent, b"%d" % number, "target-state")
            ids = [agent.id for agent in order]
            await put_messages(ctx.tenant_id, ids, UPDATE, b"%d" % number, ctx.clock.now())
            for agent in order:
                await put(ctx, agent, b"%d." % number, "target-state")

    async def publish() -> int:
        messages = await taken(ctx)
        for message in messages:
            await asyncio.sleep(chance.random() / 500)
            broker[message.agent_uuid, message.channel] = message.payload
        await give_back(ctx, messages)
        return len(messages)

    async def change_often(start: int) -> None:
        for number in range(start, start + 8):
            await change(number)

    changes = asyncio.gather(change_often(0), change_often(100))
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:

        async def publish_on() -> None:
            while await publish() or not changes.done():
                await publish_all_again(system(ctx)) if chance.random() < 0.1 else None

        for _ in range(3):
            tasks.create_task(publish_on())
        await changes
    while await publish():
        pass
    held = await fetch(
        "select agent_uuid, channel, payload from broker_message where tenant_id = $1",
        ctx.tenant_id,
    )
    assert len(held) == 24
    assert broker == {(row["agent_uuid"], row["channel"]): row["payload"] for row in held}


async def test_a_new_message_does_not_wait_for_a_publisher_that_died(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, b"old")
    assert await payloads(ctx) == [b"old"]
    assert await payloads(ctx) == []
    await put(ctx, agent, b"new")
    assert await payloads(ctx) == [b"new"]
    await take_away_messages(ctx.tenant_id, agent.id, ctx.clock.now())
    assert await payloads(ctx) == [b""]


@pytest.mark.parametrize("first", ["the older", "the newer"])
async def test_what_the_broker_may_have_got_in_the_wrong_order_is_published_once_more(
    ctx: Context, first: str
) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, b"old")
    older = await taken(ctx)
    await put(ctx, agent, b"new")
    newer = await taken(ctx)
    for messages in (older, newer) if first == "the older" else (newer, older):
        assert await payloads(ctx) == []
        await give_back(ctx, messages)
    again = await taken(ctx)
    assert [message.payload for message in again] == [b"new"]
    await give_back(ctx, again)
    assert await payloads(ctx) == []
