"""An operator's wish becomes an agent's new version, through every part of the system."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from core.clock import SystemClock
from core.ids import RandomIds
from fleetgraph.simulator.agent import SimulatedAgent
from fleetgraph.simulator.cloud import CallFailed, open_client
from fleetgraph.simulator.identity import new_identity
from fleetgraph.simulator.plant import Plant
from fleetgraph.simulator.wire import topic_prefix
from fleetgraph.simulator.world import Pace, World
from tests.e2e.parts import PLATFORM, PLATFORM_PASSWORD, UPDATE_SECRET, Parts
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until

pytestmark = pytest.mark.slow

PACE = Pace(poll=0.5, report=0.5, connect_backoff=0.2, hint_spread=0.1, install=0.3)
REQUEST = """mutation ($agent: UUID!, $version: String!) {
  requestAgentUpdate(agentUuid: $agent, update: { version: $version }) { id state } }"""
UPDATE = "query ($id: UUID!) { agentUpdate(id: $id) { state reason progress { type reason } } }"
MOVES = "subscription ($agent: UUID) { agentUpdateChanged(agentUuid: $agent) { state } }"
VERSION = "query ($agent: UUID!) { agent(uuid: $agent) { version } }"


@asynccontextmanager
async def living(parts: Parts) -> AsyncIterator[SimulatedAgent]:
    ids = RandomIds()
    async with open_client() as http:
        key = await parts.cloud.provisioning_key()
        world = World(
            *(http, parts.cloud.url, key, Plant(seed=1, agents=1), SystemClock(), ids),
            pace=PACE,
            update_secret=UPDATE_SECRET,
        )
        agent = SimulatedAgent(world, new_identity("gateway-01", ids))
        task = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, CallFailed):
                await task


async def publish(parts: Parts, topic: str, payload: bytes) -> None:
    """Publish as somebody who got hold of the platform's account."""
    client = MqttClient(parts.mqtt_port, "intruder", PLATFORM, PLATFORM_PASSWORD)
    assert await client.connect() == 0
    await client.publish(topic, payload, retain=True)
    await client.close()


async def kept(parts: Parts, topic: str) -> list[bytes]:
    """Return what the broker holds on a topic."""
    client = MqttClient(parts.mqtt_port, "looker", PLATFORM, PLATFORM_PASSWORD)
    assert await client.connect() == 0
    await client.subscribe(topic)
    await client.subscribe("end")  # in order: what was held on the first has come by now
    await client.publish("end", b"x")
    await client.heard("end")
    await client.close()
    return [message.payload for message in client.messages if message.topic == topic]


async def has_version(parts: Parts, agent: SimulatedAgent, version: str) -> None:
    async def shows() -> bool:
        with suppress(AssertionError):
            found = await parts.cloud.ask(VERSION, agent=agent.identity.uuid)
            return bool(found["agent"] and found["agent"]["version"] == version)
        return False

    await until(shows, f"the cloud knows that the agent runs {version}")


async def request(parts: Parts, agent: SimulatedAgent, version: str) -> str:
    asked = await parts.cloud.ask(REQUEST, agent=agent.identity.uuid, version=version)
    update: str = asked["requestAgentUpdate"]["id"]
    return update


async def finished(parts: Parts, update: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        found: dict[str, Any] = (await parts.cloud.ask(UPDATE, id=update))["agentUpdate"]
        return found if found["state"] in {"succeeded", "failed", "rejected"} else None

    return await until(over, "the update is over", seconds=60)


async def cleared(parts: Parts, topic: str) -> bool:
    return await kept(parts, topic) == []


async def test_an_update_is_obeyed_followed_and_cleared_and_a_forged_one_is_not(
    parts: Parts,
) -> None:
    async with living(parts) as agent:
        await until(lambda: agent.is_connected, "the agent is connected")
        await has_version(parts, agent, "1.0.547")
        uuid = agent.identity.uuid
        command = f"{topic_prefix(agent.identity.tenant_id or '', uuid)}/agent/update"

        forged = {"action": "update", "version": "9.9.9", "issued_at": 1, "force": True}
        await publish(parts, command, json.dumps(forged).encode())
        reasons = "select count(*) from agent_event where payload ->> 'reason' = $1"
        await until(
            lambda: parts.fetch_value(reasons, "missing_signature"), "the forgery is refused"
        )
        assert agent.identity.agent_version == "1.0.547"

        async with parts.cloud.follow(MOVES, agent=uuid) as moves:
            update = await request(parts, agent, "1.0.600")
            for state in ("acknowledged", "in_progress", "succeeded"):
                await moves.until("agentUpdateChanged", state=state)
        told = [step["type"] for step in (await finished(parts, update))["progress"]]
        assert told[:2] == ["update_command_received", "preflight_started"]
        assert agent.identity.agent_version == "1.0.600"
        await has_version(parts, agent, "1.0.600")
        await until(partial(cleared, parts, command), "the command is taken back")

        refused = await finished(parts, await request(parts, agent, "1.0.10"))
        assert (refused["state"], refused["reason"]) == ("rejected", "downgrade_not_allowed")
        await until(partial(cleared, parts, command), "that command, too")


async def test_a_command_gets_through_although_the_broker_lost_all_it_had(parts: Parts) -> None:
    async with living(parts) as agent:
        await until(lambda: agent.is_connected, "the agent is connected")
        uuid = agent.identity.uuid
        command = f"{topic_prefix(agent.identity.tenant_id or '', uuid)}/agent/update"
        await parts.stop_mosquitto(signal.SIGKILL)
        (parts.folder / "mosquitto.db").unlink(missing_ok=True)
        update = await request(parts, agent, "1.0.600")
        await parts.start_mosquitto()
        # What the agent told before ingest was back is lost, but for the last of it.
        assert (await finished(parts, update))["state"] == "succeeded"
        assert agent.identity.agent_version == "1.0.600"
        await until(partial(cleared, parts, command), "the command is taken back")
        heard = (
            "select count(*) from agent_event e join agent a on a.id = e.agent_id where a.uuid = $1"
        )
        await until(lambda: parts.fetch_value(heard, UUID(uuid)), "ingest is back")
