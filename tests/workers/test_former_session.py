"""What waits at the broker under the client id of an earlier release is not lost by an upgrade."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from core import metrics
from core.callers import system_caller
from core.context import Context
from core.mqtt_topics import SUBSCRIPTIONS, agent_username
from fleetgraph.embedded.broker import EmbeddedBroker
from models.agents import Agent
from models.tenants import get_tenant
from tests.factories import make_agent
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until
from tests.workers.conftest import PLATFORM
from tests.workers.plants import message, reading, stored
from workers import former_session
from workers.former_session import InheritingLink
from workers.ingest import Ingest
from workers.mqtt import BrokerEndpoint, BrokerLink, drop_session

pytestmark = pytest.mark.slow
FORMER = "ingest-of-before"
DONE = "that waited under client id"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(former_session, "QUIET_SECONDS", 0.4)
    monkeypatch.setattr(former_session, "OVERLAP_SECONDS_MAX", 2.0)
    caplog.set_level(logging.INFO, logger="workers.former_session")


@asynccontextmanager
async def ingesting(ctx: Context, endpoint: BrokerEndpoint) -> AsyncIterator[None]:
    def link_to(worker: Ingest) -> BrokerLink:
        return InheritingLink(endpoint, SUBSCRIPTIONS, worker.handle, FORMER)

    async with running(Ingest(ctx.acting_as(system_caller(0)), link_to)):
        yield


@asynccontextmanager
async def running(worker: Ingest | BrokerLink) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def client(broker: EmbeddedBroker, name: str) -> AsyncIterator[MqttClient]:
    one = MqttClient(broker.port, name, PLATFORM, f"pw-{PLATFORM}")
    assert await one.connect(clean=False) == 0
    try:
        yield one
    finally:
        await one.close()


async def leave_session(endpoint: BrokerEndpoint) -> None:
    """Be there as an earlier release was, and go."""
    link = BrokerLink(replace(endpoint, client_id=FORMER), SUBSCRIPTIONS)
    async with running(link):
        await link.subscribed.wait()


async def topic_of(agent: Agent) -> str:
    tenant = await get_tenant(agent.tenant_id)
    return f"i/{agent_username(str(tenant.uuid), agent.uuid)}/endpoints/modbus"


async def is_kept(broker: EmbeddedBroker) -> bool:
    async with client(broker, FORMER) as one:
        return one.session_present


@pytest.mark.parametrize("mqtt5", [True, False], ids=["5", "3.1.1"])
async def test_all_that_waited_is_stored_and_the_former_session_is_gone(
    ctx: Context,
    broker: EmbeddedBroker,
    endpoint: BrokerEndpoint,
    caplog: pytest.LogCaptureFixture,
    mqtt5: bool,
) -> None:
    agent, endpoint = await make_agent(ctx), replace(endpoint, mqtt5=mqtt5)
    await leave_session(endpoint)
    async with client(broker, "agents") as agents:
        for number in range(300):
            await agents.publish(await topic_of(agent), message(reading(at=number, value=number)))
    async with ingesting(ctx, endpoint):
        await until(lambda: DONE in caplog.text, "the former session is received")
        assert metrics.BROKER_CONNECTED._value.get() == 1
    assert await stored(ctx, agent) == {"temperature": [float(number) for number in range(300)]}
    assert f"received 300 messages {DONE} {FORMER}" in caplog.text
    assert not await is_kept(broker)


async def test_agents_that_never_fall_silent_do_not_keep_it_for_ever(
    ctx: Context,
    broker: EmbeddedBroker,
    endpoint: BrokerEndpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = await make_agent(ctx)
    await leave_session(endpoint)
    topic, sent = await topic_of(agent), 0
    async with client(broker, "agents") as agents, ingesting(ctx, endpoint):
        async with asyncio.timeout(20):
            while DONE not in caplog.text:
                await agents.publish(topic, message(reading(at=sent, value=sent)))
                sent += 1
                await asyncio.sleep(0.05)

        async def all_stored() -> bool:
            found = await stored(ctx, agent)
            return found == {"temperature": [float(number) for number in range(sent)]}

        await until(all_stored, "all readings")
    assert not await is_kept(broker)


async def test_a_program_that_is_still_at_home_there_is_not_fought(
    ctx: Context,
    broker: EmbeddedBroker,
    endpoint: BrokerEndpoint,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(former_session, "LATER_SECONDS", (1.5,) * 20)
    agent = await make_agent(ctx)
    old = BrokerLink(replace(endpoint, client_id=FORMER), SUBSCRIPTIONS)
    async with running(old):
        await old.subscribed.wait()
        async with ingesting(ctx, endpoint):
            await until(lambda: "is not received" in caplog.text, "it gives way")
            seen = old.connections
            await until(old.connected.is_set, "the other is back")
            assert old.connections <= seen + 1
            assert DONE not in caplog.text
    async with client(broker, "agents") as agents:
        await agents.publish(await topic_of(agent), message(reading(value=7)))
    async with ingesting(ctx, endpoint):
        await until(lambda: DONE in caplog.text, "the next start")
    assert await stored(ctx, agent) == {"temperature": [7.0]}
    assert not await is_kept(broker)


async def test_where_nothing_was_nothing_is_left(
    ctx: Context,
    broker: EmbeddedBroker,
    endpoint: BrokerEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dropped: list[str] = []

    async def note(at: BrokerEndpoint, client_id: str) -> None:
        await drop_session(at, client_id)
        dropped.append(client_id)

    monkeypatch.setattr(former_session, "drop_session", note)
    async with ingesting(ctx, endpoint):
        await until(lambda: dropped == [FORMER], "the look is done")
    assert not await is_kept(broker)


async def test_what_is_not_stored_yet_is_waited_for(
    broker: EmbeddedBroker, endpoint: BrokerEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    await leave_session(endpoint)
    async with client(broker, "agents") as agents:
        await agents.publish("i/x/a/y/state", b"{}")
    held, may_go_on = asyncio.Event(), asyncio.Event()

    async def handle(topic: str, payload: bytes, retained: bool) -> None:
        held.set()
        await may_go_on.wait()

    async with running(InheritingLink(endpoint, SUBSCRIPTIONS, handle, FORMER)):
        await held.wait()
        await asyncio.sleep(5 * former_session.QUIET_SECONDS)
        assert DONE not in caplog.text
        may_go_on.set()
        await until(lambda: f"received 1 messages {DONE}" in caplog.text, "the end")
    assert not await is_kept(broker)
