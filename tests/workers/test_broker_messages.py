"""What the broker is to hold for agents gets there, by real processes and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest

from core.callers import system_caller
from core.context import Context
from core.errors import Unavailable
from core.events import BROKER_MESSAGES, BrokerMessagesChanged
from core.mqtt_topics import format_topic
from fleetgraph.embedded.broker import EmbeddedBroker
from fleetgraph.embedded.mosquitto import MosquittoBroker
from models.agents import Agent
from models.broker_messages import put_message
from models.connection import fetch
from models.tenants import get_tenant
from resolvers.broker_messages import BrokerMessage, give_messages_back
from tests.factories import make_agent
from tests.fleetgraph.embedded.mqtt_client import Message, MqttClient
from tests.tools import until
from tests.workers.conftest import ACCOUNTS, PLATFORM
from workers.broker_messages import BrokerMessages
from workers.mqtt import BrokerEndpoint, BrokerLink

pytestmark = pytest.mark.slow


@asynccontextmanager
async def publishing(ctx: Context, endpoint: BrokerEndpoint, name: str) -> AsyncIterator[None]:
    link = BrokerLink(replace(endpoint, client_id=name), durable=False)
    worker = BrokerMessages(ctx.acting_as(system_caller(0)), link)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def platform_client(
    broker: EmbeddedBroker, topic: str, name: str = "watcher"
) -> AsyncIterator[MqttClient]:
    client = MqttClient(broker.port, name, PLATFORM, f"pw-{PLATFORM}")
    assert await client.connect() == 0
    await client.subscribe(topic)
    try:
        yield client
    finally:
        await client.close(politely=False)


async def topic_of(ctx: Context, agent: Agent, *channel: str) -> str:
    tenant = await get_tenant(ctx.tenant_id)
    return format_topic(str(tenant.uuid), agent.uuid, *channel)


async def put(ctx: Context, agent: Agent, payload: bytes, channel: str = "agent/update") -> None:
    await put_message(ctx.tenant_id, agent.id, channel, payload, ctx.clock.now())
    await ctx.bus.publish(BROKER_MESSAGES, BrokerMessagesChanged())


async def is_published(agent: Agent) -> bool:
    rows = await fetch(
        "select published_revision = revision as done from broker_message where agent_id = $1",
        agent.id,
    )
    return bool(rows) and all(row["done"] for row in rows)


async def retained(broker: EmbeddedBroker, topic: str) -> list[Message]:
    """Return what a client that comes now gets; a marker behind it shows that it was all."""
    async with platform_client(broker, topic, "late") as client:
        await client.publish(topic, b"marker")
        await client.until(lambda: any(m.payload == b"marker" for m in client.messages))
        return [m for m in client.messages if m.payload != b"marker"]


async def lose_everything(broker: MosquittoBroker) -> None:
    """Stop the broker and take its store away, as a crash before the first save would."""
    await broker.stop()
    stores = list(broker._folder.glob("*.db"))
    assert stores
    for store in stores:
        store.unlink()


async def test_a_message_is_held_for_the_agent_until_it_is_taken_away(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    agent = await make_agent(ctx)
    topic = await topic_of(ctx, agent, "agent", "update")
    await put(ctx, agent, b"before the publisher came")
    async with publishing(ctx, endpoint, "one"), platform_client(broker, topic) as client:
        await client.heard(topic)
        await put(ctx, agent, b"on the fly")
        await client.until(lambda: client.messages[-1].payload == b"on the fly")
        await until(lambda: is_published(agent), "the mark")
        assert await retained(broker, topic) == [Message(topic, b"on the fly", retain=True)]
        await put(ctx, agent, b"")
        await client.until(lambda: client.messages[-1].payload == b"")
    assert await retained(broker, topic) == []


async def test_messages_are_given_back_to_a_database_that_was_away_for_a_moment(
    ctx: Context,
    endpoint: BrokerEndpoint,
    broker: EmbeddedBroker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = await make_agent(ctx)
    failures = [Unavailable("database"), Unavailable("database")]

    async def give_back(
        ctx: Context, messages: Sequence[BrokerMessage], *, published: bool
    ) -> None:
        if failures:
            raise failures.pop()
        await give_messages_back(ctx, messages, published=published)

    monkeypatch.setattr("workers.broker_messages.give_messages_back", give_back)
    await put(ctx, agent, b"obey")
    async with publishing(ctx, endpoint, "one"):
        await until(lambda: is_published(agent), "the mark")
    assert failures == []


async def test_several_publishers_share_the_work_and_the_newest_wins(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    agents = [await make_agent(ctx, name=f"gateway-{n}") for n in range(20)]
    topics = [await topic_of(ctx, agent, "agent", "update") for agent in agents]
    async with AsyncExitStack() as stack:
        for name in ("one", "two", "three"):
            await stack.enter_async_context(publishing(ctx, endpoint, name))
        for number in range(10):
            for agent in agents:
                await put(ctx, agent, f"{number}".encode())
        for agent in agents:
            await until(partial(is_published, agent), "the last message")
        for topic in topics:
            assert [message.payload for message in await retained(broker, topic)] == [b"9"]


async def test_a_broker_that_lost_everything_gets_everything_again(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    assert isinstance(broker, MosquittoBroker)
    agent = await make_agent(ctx)
    topic = await topic_of(ctx, agent, "target-state")
    async with publishing(ctx, endpoint, "one"):
        await put(ctx, agent, b"kept", "target-state")
        await until(lambda: is_published(agent), "the mark")
        await lose_everything(broker)
        await put(ctx, agent, b"newer", "target-state")
        await broker.start(ACCOUNTS, broker._data_dir.parent)
        await until(lambda: is_published(agent), "the mark")
        assert [message.payload for message in await retained(broker, topic)] == [b"newer"]
        await lose_everything(broker)
        await broker.start(ACCOUNTS, broker._data_dir.parent)

        async def is_back() -> bool:
            return [m.payload for m in await retained(broker, topic)] == [b"newer"]

        await until(is_back, "the message of before")


async def test_messages_to_an_agent_that_was_deleted_are_taken_away(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    agent = await make_agent(ctx)
    topic = await topic_of(ctx, agent, "agent", "update")
    await put(ctx, agent, b"obey")
    async with publishing(ctx, endpoint, "one"):
        await until(lambda: is_published(agent), "the mark")
    await fetch("delete from agent where id = $1", agent.id)  # as by hand: no use case told
    async with publishing(ctx, endpoint, "two"), platform_client(broker, topic) as client:
        await client.until(lambda: client.messages[-1:] == [Message(topic, b"", retain=False)])
