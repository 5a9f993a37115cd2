"""The link to a real broker: acknowledges after the handler, waits when told to, comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from core import metrics
from fleetgraph.embedded.broker import EmbeddedBroker
from fleetgraph.embedded.mosquitto import MosquittoBroker
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until
from tests.workers.conftest import ACCOUNTS, AGENT, PLATFORM, account
from workers.mqtt import BrokerEndpoint, BrokerLink, drop_session

pytestmark = pytest.mark.slow
TOPIC = f"i/{AGENT}/endpoints/modbus"


class Heard:
    """A handler that remembers, and does what a test wants before it returns."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.retained: list[bool] = []
        self.before_return: Callable[[bytes], Awaitable[None]] | None = None

    async def __call__(self, topic: str, payload: bytes, retained: bool) -> None:
        self.payloads.append(payload)
        self.retained.append(retained)
        if self.before_return is not None:
            await self.before_return(payload)


@asynccontextmanager
async def linked(endpoint: BrokerEndpoint, handler: Heard) -> AsyncIterator[BrokerLink]:
    link = BrokerLink(endpoint, ["i/+/a/+/endpoints/+"], handler)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def agent(broker: EmbeddedBroker) -> AsyncIterator[MqttClient]:
    client = MqttClient(broker.port, "agent_1", AGENT, f"pw-{AGENT}")
    assert await client.connect() == 0
    yield client
    with suppress(OSError, asyncio.CancelledError):
        await client.close()


async def ready(link: BrokerLink, agent: MqttClient, heard: Heard) -> None:
    """Wait until the subscription stands: the broker tells nobody but a subscriber."""
    async with asyncio.timeout(10):
        await link.connected.wait()
        while b"ready" not in heard.payloads:
            await agent.publish(TOPIC, b"ready")
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)  # what is on its way of these
    heard.payloads.clear()


@pytest.mark.parametrize("mqtt5", [True, False], ids=["5", "3.1.1"])
async def test_what_the_handler_took_does_not_come_again(
    endpoint: BrokerEndpoint, agent: MqttClient, mqtt5: bool
) -> None:
    endpoint, heard = replace(endpoint, mqtt5=mqtt5), Heard()
    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
        await agent.publish(TOPIC, b"one")
        await until(lambda: heard.payloads == [b"one"], "the message")
    async with linked(endpoint, heard) as link:
        await link.connected.wait()
        await agent.publish(TOPIC, b"two")
        await until(lambda: b"two" in heard.payloads, "the next message")
    assert heard.payloads == [b"one", b"two"]


async def test_what_came_while_we_were_away_waits_for_us(
    endpoint: BrokerEndpoint, agent: MqttClient
) -> None:
    heard = Heard()
    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
    for number in range(50):
        await agent.publish(TOPIC, str(number).encode())
    async with linked(endpoint, heard):
        await until(lambda: len(heard.payloads) == 50, "all messages")
    assert heard.payloads == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize("way", ["raises", "never returns"])
async def test_what_the_handler_did_not_take_comes_again(
    endpoint: BrokerEndpoint, agent: MqttClient, way: str
) -> None:
    heard = Heard()

    async def refuse(payload: bytes) -> None:
        if way == "raises":
            raise ValueError("no")
        await asyncio.Event().wait()

    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
        heard.before_return = refuse
        await agent.publish(TOPIC, b"one")
        await until(lambda: heard.payloads == [b"one"], "the first try")
    heard.before_return = None
    async with linked(endpoint, heard):
        await until(lambda: heard.payloads == [b"one", b"one"], "the second try")


async def test_reads_nothing_while_paused(endpoint: BrokerEndpoint, agent: MqttClient) -> None:
    heard = Heard()
    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
        link.pause()
        for number in range(20):
            await agent.publish(TOPIC, str(number).encode())
        await asyncio.sleep(0.3)
        # One read may have been under way.
        assert len(heard.payloads) <= 1
        link.resume()
        await until(lambda: len(heard.payloads) == 20, "all messages")


async def test_stays_paused_over_a_reconnect(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker, agent: MqttClient
) -> None:
    heard = Heard()
    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
        link.pause()
        await drop_session(replace(endpoint, client_id="x"), "someone-else")
        taker = MqttClient(broker.port, endpoint.client_id, PLATFORM, f"pw-{PLATFORM}")
        assert await taker.connect(clean=False) == 0
        link.resume()  # only who reads sees that the connection is gone
        await until(lambda: not link.connected.is_set(), "the loss", seconds=10)
        link.pause()
        await until(link.connected.is_set, "the return", seconds=10)
        await agent.publish(TOPIC, b"one")
        await asyncio.sleep(0.3)
        assert heard.payloads == []
        link.resume()
        await until(lambda: heard.payloads == [b"one"], "the message")
        await taker.close(politely=False)


async def test_comes_back_when_the_broker_does(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker, agent: MqttClient
) -> None:
    assert isinstance(broker, MosquittoBroker)
    heard = Heard()
    async with linked(endpoint, heard) as link:
        await ready(link, agent, heard)
        assert metrics.BROKER_CONNECTED._value.get() == 1
        await broker.stop()
        await until(lambda: not link.connected.is_set(), "the loss")
        assert metrics.BROKER_CONNECTED._value.get() == 0
        await asyncio.sleep(0.5)  # a try or two against nobody
        await broker.start(ACCOUNTS, broker._data_dir.parent)
        await until(link.connected.is_set, "the return")
        again = MqttClient(broker.port, "agent_1", AGENT, f"pw-{AGENT}")
        assert await again.connect() == 0
        await again.publish(TOPIC, b"two")
        await until(lambda: b"two" in heard.payloads, "a message after the return")
        await again.close()


async def test_goes_on_trying_when_the_broker_refuses_it(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    heard = Heard()
    async with linked(replace(endpoint, username="later", password="pw-later"), heard) as link:
        await asyncio.sleep(0.5)
        assert not link.connected.is_set()
        await broker.apply([*ACCOUNTS, account("later", is_platform=True)])
        await until(link.connected.is_set, "the welcome", seconds=15)


async def test_says_which_messages_are_retained(
    endpoint: BrokerEndpoint, agent: MqttClient
) -> None:
    heard = Heard()
    await agent.publish(TOPIC, b"kept", retain=True)
    async with linked(endpoint, heard):
        await until(lambda: heard.payloads == [b"kept"], "the retained message")
    assert heard.retained == [True]


async def test_drops_the_session_of_another_client(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker, agent: MqttClient
) -> None:
    await drop_session(endpoint, agent.client_id)
    await until(agent.closed.is_set, "the broker ended the agent's session", seconds=5)
    again = MqttClient(broker.port, agent.client_id, AGENT, f"pw-{AGENT}")
    assert await again.connect(clean=False) == 0
    assert not again.session_present
    await again.close()


async def test_says_so_when_there_is_no_broker_to_drop_a_session(
    endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    await broker.stop()
    with pytest.raises(OSError, match=r"."):
        await drop_session(endpoint, "agent_1")
