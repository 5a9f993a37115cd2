"""The one file that speaks MQTT: a link to the broker that comes back for ever."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gmqtt import Client, Subscription
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from core import metrics
from core.errors import Unavailable
from workers.acknowledgements import Acknowledgements

_log = logging.getLogger(__name__)

CONNECT_SECONDS_MAX = 10
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
HEALTHY_SECONDS = 10.0
PUBLISH_SECONDS_MAX = 10
SESSION_EXPIRY_SECONDS = 7 * 86_400
"""How long the broker keeps messages for us while we are away."""

HANDLING_MAX = 5_000
"""Messages in our hands at a time, told to the broker and kept by ourselves: Mosquitto 2.0 exceeds
it once messages were sent again, and MQTT 3.1.1 knows no such limit. Without it a backlog takes so
much of the loop that its own commit hardly gets a turn."""

Handler = Callable[[str, bytes, bool], Awaitable[None]]
"""Takes (topic, payload, retained). The broker gets its acknowledgement when it returns; when it
raises, the connection is cut and the message comes again with the next one."""

# The library reports every lost connection at length; the link says it once, in our words.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class BrokerEndpoint:
    """Where the broker is and who we are there."""

    host: str
    port: int
    username: str
    password: str
    client_id: str
    tls: bool = False
    ca_cert: str | None = None
    mqtt5: bool = True
    keepalive_seconds: int = 60

    def ssl_context(self) -> ssl.SSLContext | bool:
        """Return what verifies the broker, or False for a plain connection."""
        return ssl.create_default_context(cadata=self.ca_cert) if self.tls else False


async def ignore(topic: str, payload: bytes, retained: bool) -> None:
    """Take a message and do nothing: for a link that only publishes."""


class BrokerLink:
    """Receives messages with acknowledgement after the handler, and pushes back when told to.

    Without `durable` the broker forgets us while we are away. The gauge of the connection is
    about the link that receives what agents say: durable, and with filters.

    Attributes:
        connected: set while there is a connection.
        subscribed: set once the broker has taken our filters, on whichever connection.
        connections: how many there have been; each may be to a broker that has forgotten all.
        was_kept: whether the broker had kept our session when we connected last.
    """

    def __init__(
        self,
        endpoint: BrokerEndpoint,
        filters: Sequence[str] = (),
        handler: Handler = ignore,
        *,
        durable: bool = True,
    ) -> None:
        self.connections = 0
        self.was_kept = False
        self._endpoint = endpoint
        self._filters = filters
        self._handler = handler
        self._durable = durable
        self._receives = durable and bool(filters)
        self._client: Any = None
        self._acknowledgements = Acknowledgements()
        self._paused = False
        self._handling = 0
        self._crowded = False
        self._lost = asyncio.Event()
        self.connected = asyncio.Event()
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled; every loss and return is logged once."""
        failures = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._lost = lost = asyncio.Event()
                try:
                    await self._connect(lost)
                    connected_at = loop.time()
                    self._tell(logging.INFO, "connected to the broker at %s:%s")
                    await lost.wait()
                    self._tell(logging.WARNING, "lost the broker at %s:%s, reconnecting")
                    # Two programs under one client id throw each other out at once, for ever.
                    is_brief = loop.time() - connected_at < HEALTHY_SECONDS
                    failures = failures + 1 if is_brief else 0
                except (OSError, TimeoutError, ConnectionError) as error:
                    if failures == 0:
                        _log.warning("no broker at %s:%s, trying on: %s", *self._where, error)
                    failures += 1
                finally:
                    self._show(connected=False)
                    self._acknowledgements.lose()
                    await self._close()
                await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
        finally:
            await self._close()

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Send a message; with QoS 1 returns once the broker has it. Raises Unavailable.

        What it raises for may have arrived all the same. MQTT tells nobody of a missing right.
        """
        client = self._client
        if client is None or not self.connected.is_set():
            raise Unavailable("broker")
        acknowledgements = self._acknowledgements
        try:
            client.publish(topic, payload, qos=qos, retain=retain)
        except OverflowError:  # every packet number is in use
            raise Unavailable("broker") from None
        if qos == 0:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                arrived = await acknowledgements.of_newest()
        except TimeoutError:
            arrived = False
        if not arrived:
            raise Unavailable("broker")

    def pause(self) -> None:
        """Stop reading from the socket, so that the broker queues instead of us."""
        self._paused = True
        self._apply_pause()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._apply_pause()

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Let nothing more join what the broker keeps for us; without a connection do nothing."""
        if self._client is not None and self.connected.is_set():
            self._client.unsubscribe(list(filters))

    def _tell(self, level: int, text: str) -> None:
        """Log where we are connected; links beside the one that receives say it quietly."""
        _log.log(level if self._receives else logging.DEBUG, text, *self._where)

    @property
    def _where(self) -> tuple[str, int]:
        return self._endpoint.host, self._endpoint.port

    async def _connect(self, lost: asyncio.Event) -> None:
        endpoint = self._endpoint
        properties = {
            "session_expiry_interval": SESSION_EXPIRY_SECONDS,
            "receive_maximum": HANDLING_MAX,
        }
        self._acknowledgements = Acknowledgements()
        client = Client(
            endpoint.client_id,
            clean_session=not self._durable,
            optimistic_acknowledgement=False,
            persistent_storage=self._acknowledgements,
            **(properties if endpoint.mqtt5 and self._durable else {}),
        )
        # Below -1 the library's own reconnecting is off; ours also outlives refusals.
        client.set_config({"reconnect_retries": -2, "reconnect_delay": 0})
        client.set_auth_credentials(endpoint.username, endpoint.password)
        client.on_message = self._on_message
        client.on_disconnect = lambda *_: lost.set()
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self.subscribed.set()
        self._client = client
        await _open(client, endpoint)
        self.connections += 1
        self._show(connected=True)
        self._apply_pause()

    def _show(self, *, connected: bool) -> None:
        if connected:
            self.connected.set()
        else:
            self.connected.clear()
        if self._receives:
            metrics.BROKER_CONNECTED.set(connected)

    def _on_connect(self, client: Any, was_kept: int, *_: object) -> None:
        self.was_kept = bool(was_kept)
        # The library does not subscribe again by itself.
        if self._filters:
            client.subscribe([Subscription(name, qos=1) for name in self._filters])

    async def _on_message(
        self, client: Any, topic: str | bytes, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        name = topic if isinstance(topic, str) else topic.decode("utf-8", "replace")
        self._count(1)
        try:
            await self._handler(name, bytes(payload), bool(properties.get("retain")))
        except asyncio.CancelledError:
            raise
        except Unavailable:
            self._cut(client)  # said already by whoever waits for it
        except Exception:
            _log.exception("a message on %s could not be handled", name)
            self._cut(client)
        finally:
            self._count(-1)
        return 0

    def _cut(self, client: Any) -> None:
        """End the connection a message came by, before anything can be acknowledged on it.

        Only a new connection makes the broker send the message again.
        """
        connection = getattr(client, "_connection", None)
        if connection is not None:
            connection._transport.abort()  # noqa: SLF001  (closing would still flush)
        self._lost.set()

    def _count(self, change: int) -> None:
        self._handling += change
        if self._handling >= HANDLING_MAX:
            self._crowded = True
            # Each time: the library's reader resumes the socket when its own buffer ran empty.
            self._apply_pause()
        elif self._crowded and self._handling <= HANDLING_MAX // 2:
            self._crowded = False
            self._apply_pause()

    def _apply_pause(self) -> None:
        is_paused = self._paused or self._crowded
        connection = getattr(self._client, "_connection", None)
        if connection is None or connection.is_closing():
            return
        transport = connection._transport  # noqa: SLF001  (the library has no other brake)
        with suppress(RuntimeError):
            if is_paused and transport.is_reading():
                transport.pause_reading()
            elif not is_paused and not transport.is_reading():
                transport.resume_reading()

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(Exception):
            async with asyncio.timeout(1):
                await client.disconnect()


async def _open(client: Any, endpoint: BrokerEndpoint) -> None:
    """Connect; raises OSError (also when the broker refuses us) or TimeoutError."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            await client.connect(
                endpoint.host,
                endpoint.port,
                ssl=endpoint.ssl_context(),
                keepalive=endpoint.keepalive_seconds,
                version=MQTTv50 if endpoint.mqtt5 else MQTTv311,
            )
    except MQTTConnectError as error:
        raise ConnectionRefusedError(str(error)) from error


async def drop_session(endpoint: BrokerEndpoint, client_id: str) -> None:
    """End another client's session by taking over its id for a moment.

    Works on every broker; the client reconnects by itself. Raises OSError or TimeoutError when
    the broker is away or refuses us.
    """
    client = Client(client_id, clean_session=True)
    client.set_config({"reconnect_retries": -2})
    client.set_auth_credentials(endpoint.username, endpoint.password)
    try:
        await _open(client, endpoint)
    finally:
        with suppress(Exception):
            async with asyncio.timeout(1):
                await client.disconnect()
