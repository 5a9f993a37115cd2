from __future__ import annotations

import pytest

from fleetgraph.embedded.broker import EmbeddedBroker
from tests.fleetgraph.embedded.conftest import ONE, PLATFORM, Connect

pytestmark = pytest.mark.slow


async def test_a_batch_of_a_megabyte_gets_through(broker: EmbeddedBroker, connect: Connect) -> None:
    """Agents send twelve polls in one packet: 39 kB with three points each, more with more."""
    platform, agent = await connect(PLATFORM), await connect(ONE)
    await platform.subscribe("i/#")
    topic, batch = f"i/{ONE}/endpoints/modbus", b"x" * 1_000_000
    await agent.publish(topic, batch)
    assert (await platform.heard(topic)).payload == batch
