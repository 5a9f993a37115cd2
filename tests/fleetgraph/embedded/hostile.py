"""A broker, a platform that listens to everything, a victim, and an agent that means harm."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from core.broker_accounts import AGENT_READ
from fleetgraph.embedded.broker import BrokerKind, EmbeddedBroker, start_broker
from fleetgraph.embedded.ports import find_free_port
from tests.fleetgraph.embedded.conftest import ACCOUNTS, ONE, PLATFORM, TWO
from tests.fleetgraph.embedded.mqtt_client import Message, MqttClient

MINE, THEIRS = f"i/{ONE}", f"i/{TWO}"
LEGAL = f"{MINE}/state"
PLANTED, SECRET = b"planted", b"secret"


class Rig:
    """`listener` and `victim` stay; the agents of an attempt come and go."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker
        self.listener = self._client(PLATFORM, "listener")
        self.victim = self._client(TWO, "victim")
        self._number = 0

    def _client(self, username: str, client_id: str) -> MqttClient:
        return MqttClient(self.broker.port, client_id, username, f"pw-{username}")

    async def start(self) -> None:
        """Listen to everything there is."""
        assert await self.listener.connect() == 0
        for topic_filter in ("#", "$SYS/#", "$CONTROL/#"):
            await self.listener.subscribe(topic_filter)
        assert await self.victim.connect() == 0
        for suffix in AGENT_READ:
            await self.victim.subscribe(f"{THEIRS}/{suffix.replace('+', 'x')}")

    async def agent(self, client_id: str = "", will: tuple[str, bytes] | None = None) -> MqttClient:
        """Connect the agent that means harm."""
        self._number += 1
        client = self._client(ONE, client_id or f"hostile-{self._number}")
        assert await client.connect(will=will) == 0
        return client

    async def plant(self, topics: Sequence[str], *, by: str = "") -> None:
        """Publish in every way, whatever the broker does about it."""
        for topic in topics:
            for qos, retain in ((0, False), (1, False), (0, True), (1, True)):
                client = await self.agent(by)
                # A broker may answer with the end of the connection.
                with contextlib.suppress(OSError, asyncio.CancelledError, TimeoutError):
                    async with asyncio.timeout(2):
                        await client.publish(topic, PLANTED, qos=qos, retain=retain)
                        await self._through(client)
                await client.close()

    async def plant_wills(self, topics: Sequence[str]) -> None:
        """Die with wills on the topics; an honest agent dies last, and is heard."""
        dying = [await self.agent(will=(topic, PLANTED)) for topic in topics]
        honest = await self.agent(will=(f"{MINE}/agent/broker", b"offline"))
        before = len(self.listener.messages)
        for client in [*dying, honest]:
            await client.close(politely=False)
        await self.listener.until(
            lambda: any(m.payload == b"offline" for m in self.listener.messages[before:])
        )

    async def tell_secrets(self, topics: Sequence[str], *, retain: bool = False) -> None:
        """Publish as the platform what the hostile agent must not hear."""
        sender = self._client(PLATFORM, "sender")
        assert await sender.connect() == 0
        for topic in topics:
            await sender.publish(topic, SECRET, retain=retain)
        await sender.close()

    async def forget(self, topics: Sequence[str]) -> None:
        """Take back what was retained."""
        sender = self._client(PLATFORM, "sender")
        assert await sender.connect() == 0
        for topic in topics:
            await sender.publish(topic, b"", retain=True)
        await sender.close()

    async def nothing_came_of_it(self) -> None:
        """Check that nobody heard anything planted, and that a later subscriber finds nothing."""
        honest = await self.agent()
        await self._through(honest)
        late = self._client(PLATFORM, "late")
        assert await late.connect() == 0
        for topic_filter in ("#", "$SYS/#", "$CONTROL/#"):
            await late.subscribe(topic_filter)
        await self._through(honest, late)
        await self._reach_victim()
        for client in (self.listener, self.victim, late):
            assert [m.topic for m in client.messages if m.payload == PLANTED] == []
            assert not client.closed.is_set()
        await late.close()
        await honest.close()

    async def _through(self, sender: MqttClient, receiver: MqttClient | None = None) -> None:
        """Return once all that `sender` sent before was dealt with, or its connection ended."""
        self._number += 1
        receiver, fence = receiver or self.listener, f"fence-{self._number}".encode()
        await sender.publish(LEGAL, fence)
        await receiver.until(
            lambda: sender.closed.is_set() or any(m.payload == fence for m in receiver.messages)
        )

    async def _reach_victim(self) -> None:
        self._number += 1
        fence = f"fence-{self._number}".encode()
        await self.listener.publish(f"{THEIRS}/agent/update", fence)
        await self.victim.until(lambda: any(m.payload == fence for m in self.victim.messages))

    async def hears(self, agent: MqttClient) -> list[Message]:
        """Return what the agent has heard, once a message to it has arrived."""
        self._number += 1
        fence = f"fence-{self._number}".encode()
        await agent.subscribe(f"{MINE}/agent/update")
        await self.listener.publish(f"{MINE}/agent/update", fence)
        await agent.until(lambda: any(m.payload == fence for m in agent.messages))
        return agent.messages

    async def stop(self) -> None:
        """Go."""
        for client in (self.listener, self.victim):
            await client.close()


@asynccontextmanager
async def rigged(kind: BrokerKind, folder: Path) -> AsyncIterator[Rig]:
    """Run a broker with two agents of one tenant, and one of another."""
    broker = await start_broker(
        folder / "data",
        host="127.0.0.1",
        port=find_free_port("127.0.0.1", 23883),
        accounts=ACCOUNTS,
        kind=kind,
        system_root=folder,
    )
    try:
        rig = Rig(broker)
        await rig.start()
        yield rig
        await rig.stop()
    finally:
        await broker.stop()
