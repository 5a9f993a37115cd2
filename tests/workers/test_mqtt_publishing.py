"""Publishing over a link to a real broker: done means that the broker has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from core import metrics
from core.errors import Unavailable
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from fleetgraph.embedded.mosquitto import MosquittoBroker
from tests.fleetgraph.embedded.mqtt_client import Message, MqttClient
from tests.tools import free_ports, until
from tests.workers.conftest import ACCOUNTS, AGENT, PLATFORM
from workers.mqtt import BrokerEndpoint, BrokerLink

pytestmark = pytest.mark.slow
TOPIC = f"i/{AGENT}/agent/update"


@pytest.fixture
async def link(endpoint: BrokerEndpoint) -> AsyncIterator[BrokerLink]:
    link = BrokerLink(replace(endpoint, client_id="publisher-test"), durable=False)
    task = asyncio.create_task(link.run())
    yield link
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("mqtt5", [True, False], ids=["5", "3.1.1"])
async def test_what_was_published_is_retained_until_it_is_cleared(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker, mqtt5: bool
) -> None:
    link = BrokerLink(replace(endpoint, client_id="publisher", mqtt5=mqtt5), durable=False)
    task = asyncio.create_task(link.run())
    await link.connected.wait()
    await link.publish(TOPIC, b"one", retain=True)
    await link.publish(f"i/{AGENT}/target-state", b"gone", retain=True)
    await link.publish(f"i/{AGENT}/target-state", b"", retain=True)
    agent = MqttClient(broker.port, "agent_1", AGENT, f"pw-{AGENT}")
    assert await agent.connect() == 0
    await agent.subscribe(f"i/{AGENT}/target-state")
    await agent.subscribe(TOPIC)
    await agent.heard(TOPIC)
    assert agent.messages == [Message(TOPIC, b"one", retain=True)]
    await agent.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_each_of_many_publishes_at_once_is_acknowledged(link: BrokerLink) -> None:
    await link.connected.wait()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(link.publish(f"{TOPIC}{number}", b"x"))


async def test_publishing_without_a_broker_says_so_and_works_again_after_the_return(
    link: BrokerLink, broker: EmbeddedBroker
) -> None:
    assert isinstance(broker, MosquittoBroker)
    await link.connected.wait()
    await broker.stop()
    await until(lambda: not link.connected.is_set(), "the loss")
    with pytest.raises(Unavailable):
        await link.publish(TOPIC, b"one")
    await broker.start(ACCOUNTS, broker._data_dir.parent)
    await until(link.connected.is_set, "the return")
    await link.publish(TOPIC, b"two", retain=True)
    assert link.connections == 2


async def test_a_link_that_only_publishes_does_not_show_as_the_one_that_receives(
    link: BrokerLink,
) -> None:
    metrics.BROKER_CONNECTED.set(0)
    await link.connected.wait()
    assert metrics.BROKER_CONNECTED._value.get() == 0


async def test_the_fallback_broker_holds_and_clears_what_is_published(open_folder: Path) -> None:
    broker = await start_broker(
        open_folder / "data",
        host="127.0.0.1",
        port=free_ports(1)[0],
        accounts=ACCOUNTS,
        kind="amqtt",
        system_root=open_folder,
    )
    endpoint = BrokerEndpoint(
        *("127.0.0.1", broker.port, PLATFORM, f"pw-{PLATFORM}", "publisher"), mqtt5=broker.mqtt5
    )
    link = BrokerLink(endpoint, durable=False)
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            await link.connected.wait()
        await link.publish(TOPIC, b"one", retain=True)
        await link.publish(f"i/{AGENT}/target-state", b"gone", retain=True)
        await link.publish(f"i/{AGENT}/target-state", b"", retain=True)
        agent = MqttClient(broker.port, "agent_1", AGENT, f"pw-{AGENT}")
        assert await agent.connect() == 0
        await agent.subscribe(f"i/{AGENT}/target-state")
        await agent.subscribe(TOPIC)
        await agent.heard(TOPIC)
        assert [message.payload for message in agent.messages if message.payload] == [b"one"]
        await agent.close()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await broker.stop()
