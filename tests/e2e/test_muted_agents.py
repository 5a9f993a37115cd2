"""After an outage of the API an agent's MQTT session ends once: that is what wakes a muted agent."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from tests.e2e.agents import Agent
from tests.e2e.parts import Parts
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until

pytestmark = pytest.mark.slow

_PERIODS_SECONDS = 5.0
"""More than two periods of the worker that drops sessions."""


async def restart_api(parts: Parts, *, away_seconds: float) -> None:
    """Stop the API, have the time since its last sign of life pass, and start it again."""
    assert parts.serve
    await parts.serve.stop(signal.SIGTERM)
    # An older heartbeat is what a longer outage leaves behind.
    await parts.fetch_value(
        "update heartbeat set beat_at = beat_at - make_interval(secs => $1) where name = 'http'",
        away_seconds,
    )
    await parts.start_serve()


async def stays_connected(client: MqttClient) -> bool:
    try:
        await asyncio.wait_for(client.closed.wait(), _PERIODS_SECONDS)
    except TimeoutError:
        return True
    return False


async def no_drop_is_wanted(parts: Parts, agent: Agent) -> bool:
    wanted: bool = await parts.fetch_value(
        "select session_drop_requested_at is not null from agent where uuid = $1", UUID(agent.uuid)
    )
    return not wanted


async def test_a_session_is_dropped_once_after_an_outage_and_not_after_a_restart(
    parts: Parts,
) -> None:
    async with AsyncExitStack() as stack:
        agent = await parts.new_agent()
        stack.push_async_callback(agent.close)
        assert (await agent.poll()).status_code == 200
        client = await stack.enter_async_context(agent.connected())

        await restart_api(parts, away_seconds=0)
        assert await no_drop_is_wanted(parts, agent)
        assert await stays_connected(client), "a short restart mutes nobody"

        await restart_api(parts, away_seconds=60)
        await asyncio.wait_for(client.closed.wait(), 15)
        client = await stack.enter_async_context(agent.connected())  # as the real one does
        await until(lambda: no_drop_is_wanted(parts, agent), "the drop is done with")
        assert await stays_connected(client), "one drop is enough"
