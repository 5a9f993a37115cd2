"""One MQTT 3.1.1 connection of one agent, with the acknowledgements that gmqtt keeps to itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from fleetgraph.simulator.identity import Broker

_CLOSE_SECONDS = 2.0
_NEVER_RECONNECT = -2  # gmqtt takes 0 for "once" and -1 for "for ever"

# gmqtt reports every lost connection as an error of its own; the agent says it once, in its words.
_quiet = logging.getLogger("fleetgraph.simulator.gmqtt")
_quiet.setLevel(logging.CRITICAL + 1)


class LinkFailed(Exception):
    """The broker could not be reached or refused the connection; says why."""


class MqttLink:
    """A connection that lives once: connect, publish, lose or close; then make a new one."""

    def __init__(
        self, broker: Broker, client_id: str, on_message: Callable[[str, bytes], None]
    ) -> None:
        self.lost = asyncio.Event()
        self._broker = broker
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._storage = _Inflight(self._acknowledged)
        self._client = Client(
            client_id,
            clean_session=broker.clean_session,
            persistent_storage=self._storage,
            logger=_quiet,
        )
        self._client.set_config({"reconnect_retries": _NEVER_RECONNECT, "reconnect_delay": 3600})
        if broker.username is not None:
            self._client.set_auth_credentials(broker.username, broker.password)
        self._client.on_disconnect = self._disconnected

        def message(_client: object, topic: str, payload: bytes, *_: object) -> None:
            on_message(topic, payload)

        self._client.on_message = message

    @property
    def is_connected(self) -> bool:
        """Tell whether a publish may be tried."""
        return not self.lost.is_set() and bool(self._client.is_connected)

    @property
    def unacknowledged(self) -> int:
        """Return how many publishes are on their way."""
        return len(self._waiting)

    async def connect(self) -> None:
        """Connect and wait for the broker's word. Raises LinkFailed."""
        tls: Any = self._broker.tls_context()
        try:
            # gmqtt waits for CONNACK without limit, for ever when the socket dies before it.
            async with asyncio.timeout(self._broker.connect_timeout_seconds):
                await self._client.connect(
                    self._broker.host,
                    self._broker.port,
                    ssl=tls,
                    keepalive=self._broker.keep_alive_seconds,
                    version=MQTTv311,
                )
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:
            await self.close()
            raise LinkFailed(str(error) or type(error).__name__) from error
        if self.lost.is_set():
            raise LinkFailed("the broker closed the connection")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[bool]:
        """Send with QoS 1; the future turns True when acknowledged, False when lost before."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            self._client.publish(topic, payload, qos=1, retain=retain)
        except OverflowError:  # every packet id is in use
            future.set_result(False)
            return future
        self._waiting[self._storage.newest] = future
        return future

    def subscribe(self, topic: str, *, qos: int) -> None:
        """Ask for a topic; a refusal goes unnoticed, as it does on real agents."""
        self._client.subscribe(topic, qos=qos)

    async def close(self) -> None:
        """Say goodbye, or just drop the connection when nobody listens."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._client.disconnect()
        self._lose()

    def _acknowledged(self, packet_id: int) -> None:
        future = self._waiting.pop(packet_id, None)
        if future and not future.done():
            future.set_result(True)

    def _disconnected(self, *_: object) -> None:
        self._lose()

    def _lose(self) -> None:
        self.lost.set()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(False)


class _Inflight:
    """Stands where gmqtt keeps un-acknowledged packets; tells the link of each one removed.

    gmqtt would send stored packets again on its own reconnects. Those are off, so the packets
    themselves need not be kept.
    """

    is_empty = True

    def __init__(self, acknowledged: Callable[[int], None]) -> None:
        self.newest = 0
        self._on_removed = acknowledged

    def push_message(self, packet_id: int, _packet: bytes) -> None:
        self.newest = packet_id

    def remove_message_by_mid(self, packet_id: int) -> None:
        self._on_removed(packet_id)

    async def wait_empty(self) -> None:
        return

    def get_all(self) -> list[tuple[int, bytes]]:
        return []

    def clear(self) -> None:
        return
