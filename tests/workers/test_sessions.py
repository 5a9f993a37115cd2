"""Sessions that were asked to be dropped are dropped; those the broker did not take stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from core.callers import system_caller
from core.context import Context
from fleetgraph.embedded.broker import EmbeddedBroker
from models.agents import Agent
from resolvers.agents import request_session_drop
from tests.factories import make_agent
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until
from tests.workers.conftest import AGENT
from workers import sessions
from workers.mqtt import BrokerEndpoint
from workers.sessions import Sessions

pytestmark = pytest.mark.slow


async def waits(agent: Agent) -> bool:
    row = await Agent.find_row(agent.tenant_id, id=agent.id)
    return row.session_drop_requested_at is not None


async def test_ends_the_session_of_the_agent_once(
    ctx: Context, broker: EmbeddedBroker, endpoint: BrokerEndpoint
) -> None:
    system = ctx.acting_as(system_caller(0))
    agent = await make_agent(ctx)
    client = MqttClient(broker.port, f"agent_{agent.uuid}", AGENT, f"pw-{AGENT}")
    assert await client.connect() == 0
    await request_session_drop(system, [agent.id], seen_since=None)
    assert await waits(agent)

    worker = Sessions(system, endpoint)
    async with asyncio.timeout(30):
        while await waits(agent):  # others that share the database may be before it
            await worker.step()
    await until(client.closed.is_set, "the end of the session", seconds=5)
    await client.close(politely=False)


async def test_a_request_stays_while_the_broker_is_away(
    ctx: Context, broker: EmbeddedBroker, endpoint: BrokerEndpoint
) -> None:
    system = ctx.acting_as(system_caller(0))
    agent = await make_agent(ctx)
    await request_session_drop(system, [agent.id], seen_since=None)
    await broker.stop()
    with pytest.raises((OSError, TimeoutError)):
        await Sessions(system, replace(endpoint)).step()
    assert await waits(agent)


def test_a_step_is_bounded() -> None:
    assert sessions.BATCH_MAX <= 100
