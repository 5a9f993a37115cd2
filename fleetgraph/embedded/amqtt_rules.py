"""amqtt with our accounts, and with the gaps closed through which it would let a client reach out.

amqtt 0.12 looks at a client's name and topics only in its plugins. Read in its source and closed
here, each with a test:

- a login may take over or wipe another client's session before its password is checked;
- a session that is taken up again keeps the subscriptions of whoever opened it before;
- retained messages are handed to every client that connects, for everyone's subscriptions;
- a will is published, and retained, without asking whether its topic is allowed;
- a take-over of a clean session leaves the earlier connection open and publishing;
- a packet may announce 256 MB; a silent connection, before or after login, is never closed;
- what waits for an absent client grows without end;
- a message is lost to all who are not served yet when somebody subscribes at that moment;
- a packet that breaks the protocol is left half read (amqtt_packets.py);
- a client throws out another one of any name by its client id.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import math
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import IDENTIFIER_REJECTED, NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from fleetgraph.embedded.amqtt_accounts import Accounts
from fleetgraph.embedded.amqtt_packets import end_at_broken_packets
from fleetgraph.embedded.tls import TlsServer

_PACKET_BYTES_MAX = 16 * 1024 * 1024
_CONNECT_SECONDS_MAX = 10.0
_TAKE_OVER_SECONDS_MAX = 5.0
_ENDING_SECONDS_MAX = 1.0
_KEEP_ALIVE_GRACE = 1.5
_SYS_SECONDS = 10
_QUEUED_MAX = 100_000
_LOG = logging.getLogger(__name__)


class LoginPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Asks the accounts whether a client may log in."""

    @dataclass
    class Config:
        """Nothing to configure."""

    async def authenticate(self, *, session: Session) -> bool:
        """Check name and password."""
        return _accounts_of(self).holds(session.username, session.password)


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Asks the accounts whether a client may publish, subscribe or receive."""

    @dataclass
    class Config:
        """Nothing to configure."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Check one topic, or one filter when it is a subscription."""
        if session is None or action is None:
            return False
        return _accounts_of(self).allows(session.username, topic, action)


class GuardedBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """The broker, listening on one address or two, for the accounts in one folder."""

    def __init__(self, host: str, port: int, folder: Path, tls: TlsServer | None = None) -> None:
        end_at_broken_packets()
        self.accounts = Accounts(folder)
        self._tls = tls
        listeners = {"default": ListenerConfig(bind=f"{host}:{port}")}
        if tls:
            listeners["tls"] = ListenerConfig(bind=f"{tls.host}:{tls.port}", ssl=True)
        super().__init__(BrokerConfig(listeners=listeners, plugins=_plugins()))
        self._subscriptions = _Subscriptions()

    def _create_ssl_context(self, _listener: ListenerConfig) -> ssl.SSLContext:
        assert self._tls is not None
        return self._tls.context

    async def refresh(self) -> None:
        """Read the accounts again; cut off and forget the clients that may not log in any more."""
        if not self.accounts.refresh():
            return
        for client_id, (session, _) in list(self._sessions.items()):
            if not self.accounts.holds(session.username, session.password):
                await self._cut_off(client_id)
                await self._delete_session(client_id)

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Take a connection, with a limit on what it may announce."""
        await self._client_connected(
            listener_name, _BoundedReader(reader), StreamWriterAdapter(writer)
        )

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, *_: object
    ) -> tuple[BrokerProtocolHandler, Session]:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS_MAX):
                handler, session = await _Handler.init_from_connect(
                    reader, writer, self.plugins_manager
                )
            if not self.accounts.holds(session.username, session.password):
                await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
                raise MQTTError("the login does not hold")
            if not await self._may_connect(session):
                await ConnackPacket.build(0, IDENTIFIER_REJECTED).to_stream(writer)
                raise MQTTError("the client id is somebody else's")
            return handler, await self._take_over(session)
        except Exception as error:  # whatever a stranger sent, the broker goes on
            await writer.close()
            raise MQTTError(f"connection refused: {error!r}") from error

    async def _may_connect(self, session: Session) -> bool:
        """Wait a moment for somebody else's connection of this name, which may be ending."""
        if not self.accounts.may_call_itself(session.username, session.client_id):
            return False
        deadline = self._loop.time() + _ENDING_SECONDS_MAX
        while self._is_taken(session):
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def _is_taken(self, session: Session) -> bool:
        old = self._sessions.get(session.client_id, (None, None))[0]
        return (
            old is not None
            and old.transitions.is_connected()
            and old.username != session.username
            and not self.accounts.is_platform(session.username)
        )

    async def _take_over(self, session: Session) -> Session:
        session.parent = 0
        session.keep_alive = math.ceil(session.keep_alive * _KEEP_ALIVE_GRACE)
        client_id = session.client_id
        if client_id not in self._sessions:
            return session
        await self._cut_off(client_id)
        old = self._sessions.get(client_id, (None, None))[0]
        if old is None:
            return session
        if session.clean_session or old.clean_session or old.username != session.username:
            await self._delete_session(client_id)
            return session
        for name in ("will_flag", "will_message", "will_topic", "will_qos", "will_retain"):
            setattr(old, name, getattr(session, name))
        old.password, old.keep_alive, old.parent = session.password, session.keep_alive, 1
        return old

    async def _cut_off(self, client_id: str) -> None:
        session, handler = self._sessions[client_id]
        async with asyncio.timeout(_TAKE_OVER_SECONDS_MAX):
            await self._stop_handler(handler)
            while session.transitions.is_connected():  # noqa: ASYNC110 - amqtt has no event for it
                await asyncio.sleep(0.01)

    async def _client_message_loop(self, client_session: Session, handler: Any) -> None:
        try:
            await super()._client_message_loop(client_session, handler)
        finally:
            if client_session.transitions.is_connected():  # it broke a rule: amqtt only stops
                await self._stop_handler(handler)
                client_session.transitions.disconnect()

    async def _broadcast_message(
        self,
        session: Session | None,
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        if self._may_publish(session, topic):
            await super()._broadcast_message(session, topic, data, force_qos)

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Keep a message for later subscribers, if its sender may publish there."""
        if self._may_publish(source_session, topic_name):
            await super().retain_message(source_session, topic_name, data, qos)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        topic_filter, qos = subscription
        own = [s for s, _ in self._subscriptions.get(topic_filter, []) if s is session]
        handler = self._get_handler(session)
        if not own or handler is None:
            return
        for topic, kept in list(self._retained_messages.items()):
            # Whoever may subscribe may receive; asked again, because accounts change.
            if self._matches(topic, topic_filter) and self.accounts.allows(
                session.username, topic, Action.RECEIVE
            ):
                sending = handler.mqtt_publish(topic, kept.data, min(qos, kept.qos or 0), True)
                self._tasks_queue.append(asyncio.ensure_future(sending))

    async def _retain_broadcast_message(
        self, broadcast: dict[str, Any], qos: int, target_session: Session
    ) -> None:
        queue = target_session.retained_messages
        while queue.qsize() >= _QUEUED_MAX:
            _LOG.warning("Queue of %s is full; its oldest is lost", target_session.client_id)
            queue.get_nowait()
        await super()._retain_broadcast_message(broadcast, qos, target_session)

    def _may_publish(self, session: Session | None, topic: str | None) -> bool:
        return session is None or self.accounts.allows(session.username, topic, Action.PUBLISH)


class _Subscriptions(dict[str, list[tuple[Session, int]]]):
    """Who listens, by filter; may change while amqtt walks over it with a message."""

    def items(self) -> Any:
        """Return them as they are now."""
        return [(name, tuple(members)) for name, members in super().items()]


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt ships no types
    """Ends a connection whose client has been silent for longer than its keep-alive."""

    def handle_read_timeout(self) -> None:
        waiter = self._disconnect_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class _BoundedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt ships no types
    """Refuses a packet that announces more than the limit; the connection then ends."""

    async def read(self, n: int = -1) -> bytes:
        if n > _PACKET_BYTES_MAX:
            raise ValueError(f"a packet of {n} bytes is more than {_PACKET_BYTES_MAX}")
        data: bytes = await super().read(n)
        return data


def _plugins() -> dict[str, dict[str, int]]:
    plugins: dict[str, dict[str, int]] = {
        f"{__name__}.LoginPlugin": {},
        f"{__name__}.TopicPlugin": {},
    }
    if importlib.util.find_spec("psutil"):  # amqtt says that it will not bring it for ever
        plugins["amqtt.plugins.sys.broker.BrokerSysPlugin"] = {"sys_interval": _SYS_SECONDS}
    return plugins


def _accounts_of(plugin: Any) -> Accounts:
    accounts: Accounts = plugin.context._broker_instance.accounts  # noqa: SLF001 - the only way
    return accounts
