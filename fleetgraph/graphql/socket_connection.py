"""One client of graphql-transport-ws: what it may say when, and what follows.

An idle connection is one task that waits for messages. Its deadlines (introduction, silence, end of
the access token) are kept by the process's wheel, its events come from live subscriptions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.types import Receive

from core.callers import NOBODY, Caller
from core.errors import AppError, ErrorCode, InvalidInput, LimitReached, Unauthenticated
from core.rate_limits import count_call
from fleetgraph.graphql.codes import CloseCode, Violation
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.encoding import refusal
from fleetgraph.graphql.exchange import user_agent_of
from fleetgraph.graphql.frames import message_frame
from fleetgraph.graphql.socket_messages import (
    Complete,
    ConnectionInit,
    Message,
    Payload,
    Ping,
    Subscribe,
    invalid,
    read_message,
)
from fleetgraph.graphql.socket_operations import Operation
from fleetgraph.graphql.wheel import STEP_SECONDS, Wheel
from fleetgraph.graphql.wires import Wire
from fleetgraph.refusals import RefusedCall
from rest_compat.streams import ACCESS_ENDED
from schema.context import GraphQLContext
from schema.execution.shared import LiveSubscriptions

CREDENTIAL_ENDED: Final = "The access token has expired"

_ACKNOWLEDGEMENT: Final = message_frame("connection_ack")
_TRANSIENT: Final = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE})
_log = logging.getLogger("fleetgraph.graphql")


@dataclass(frozen=True, slots=True)
class Parts:
    """What all connections of a process share."""

    edge: Edge
    live: LiveSubscriptions
    wheel: Wheel


class Connection:
    """One client, from the handshake to the end."""

    __slots__ = (
        "_caller",
        "_headers",
        "_is_introduced",
        "_is_over",
        "_leave",
        "_leaving",
        "_operations",
        "_parts",
        "_pinged_at",
        "_remote_address",
        "_request_id",
        "_user_agent",
        "_waiting",
        "slot",
        "wire",
    )

    def __init__(
        self,
        parts: Parts,
        wire: Wire,
        headers: Mapping[str, str],
        request_id: str,
        remote_address: str,
    ) -> None:
        self.wire = wire
        self.slot: int | None = None
        self._parts = parts
        self._headers = headers
        self._request_id = request_id
        self._remote_address = remote_address
        self._user_agent = user_agent_of(headers)
        self._caller: Caller | None = None
        self._leave: Callable[[], None] | None = None
        self._is_introduced = False
        self._is_over = False
        self._pinged_at = 0.0
        self._operations: dict[str, Operation] = {}
        self._waiting: dict[Operation, None] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def run(self, receive: Receive) -> None:
        """Serve the client until it or we end the connection."""
        settings = self._parts.edge.settings
        self.wire.limit(settings.client_queue_bytes)
        self.wire.on_room = self._on_room
        deadline = asyncio.get_running_loop().time() + settings.init_seconds_max
        self._parts.wheel.put(self, deadline)
        try:
            await self._listen(receive, deadline)
        except Violation as violation:
            self.close(violation.code, violation.reason)
        except Exception:
            _log.exception("a WebSocket failed (request %s)", self._request_id)
            self.close(CloseCode.FAILURE, "Something went wrong on our side")
        finally:
            self._is_over = True
            self._parts.wheel.remove(self)
            if self._leave is not None:
                self._leave()
            self.wire.on_room = None
            await self._end_operations()

    def close(self, code: CloseCode, reason: str) -> None:
        """End the connection."""
        self._is_over = True
        self.wire.close(code, reason)

    def _end_access(self) -> None:
        self.close(CloseCode.FORBIDDEN, ACCESS_ENDED)

    # Messages --------------------------------------------------------------------------------

    async def _listen(self, receive: Receive, deadline: float) -> None:
        while not self._is_over:
            event = await receive()
            if event["type"] != "websocket.receive" or self._is_over:
                return
            self.wire.heard_at = asyncio.get_running_loop().time()
            data = event.get("text")
            message = read_message(event["bytes"] if data is None else data)
            if isinstance(message, ConnectionInit):
                await self._introduce(message.payload, deadline)
            else:
                await self._obey(message)
            # Who does not read what it asked for may not ask for more.
            await self.wire.room()

    async def _introduce(self, payload: Payload, deadline: float) -> None:
        if self._is_introduced:
            raise Violation(CloseCode.TOO_MANY_INITIALISATIONS, "Too many initialisation requests")
        self._is_introduced = True
        try:
            async with asyncio.timeout_at(deadline):
                caller = await self._known_caller(payload)
        except AppError as error:
            self._note(NOBODY, error)
            is_transient = error.code in _TRANSIENT
            code = CloseCode.TRY_AGAIN_LATER if is_transient else CloseCode.FORBIDDEN
            raise Violation(code, error.message) from None
        except TimeoutError:
            reason = "The credential could not be checked in time"
            raise Violation(CloseCode.TRY_AGAIN_LATER, reason) from None
        self._headers = {}  # they hold a credential
        self._caller = caller
        self._leave = self._parts.edge.presence.enter(caller, self._end_access)
        self.wire.write(_ACKNOWLEDGEMENT)
        self.on_due()

    async def _known_caller(self, payload: Payload) -> Caller:
        """Resolve the caller and count the connection, a failed credential as nobody's."""
        edge = self._parts.edge
        try:
            caller = await edge.caller_of(self._headers, payload)
        except Unauthenticated:
            await count_call(edge.limits, NOBODY, self._remote_address)
            raise
        await count_call(edge.limits, caller, self._remote_address)
        return caller

    async def _obey(self, message: Message) -> None:
        match message:
            case Subscribe():
                await self._subscribe(message)
            case Complete():
                operation = self._operations.pop(message.id, None)
                if operation is not None:
                    self._waiting.pop(operation, None)
                    await operation.end()
            case Ping(None):
                self.wire.write(message_frame("pong"))
            case Ping(payload):
                self.wire.write(message_frame("pong", payload=payload))

    async def _subscribe(self, message: Subscribe) -> None:
        if self._caller is None:
            raise Violation(CloseCode.UNAUTHORIZED, "Unauthorized")
        if message.id in self._operations:
            reason = f"Subscriber for {message.id} already exists"
            raise Violation(CloseCode.SUBSCRIBER_EXISTS, reason)
        edge = self._parts.edge
        is_full = len(self._operations) >= edge.settings.subscriptions_max
        operation = self._operations[message.id] = Operation(self, message.id)
        try:
            if is_full:
                raise _too_many(edge.settings.subscriptions_max)
            await count_call(edge.limits, self._caller, self._remote_address)
            request = edge.read_request(message.request)
        except InvalidInput as error:
            raise invalid(error.message) from None
        except AppError as error:
            self._note(self._caller, error)
            operation.refuse(refusal(error).errors)
            return
        ctx = edge.make_ctx(self._caller, self._request_id, self._remote_address, self._user_agent)
        operation.start(edge.engine, self._parts.live, request, GraphQLContext(ctx))

    def _note(self, caller: Caller, error: AppError) -> None:
        call = RefusedCall(
            caller, self._remote_address, "graphql socket", self._request_id, self._user_agent
        )
        self._parts.edge.on_refused(call, error)

    # Operations ------------------------------------------------------------------------------

    def let_wait(self, operation: Operation) -> None:
        """Flush the operation when the wire has room again."""
        self._waiting[operation] = None

    def forget(self, operation: Operation) -> None:
        """Set the operation's id free: it is over."""
        del self._operations[operation.id]
        self._waiting.pop(operation, None)
        if operation.is_live:
            leaving = asyncio.create_task(operation.end(), name="socket operation's end")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _on_room(self) -> None:
        # Whoever fills the wire again waits behind the others.
        while self._waiting and not self.wire.is_full:
            operation = next(iter(self._waiting))
            del self._waiting[operation]
            operation.flush()

    async def _end_operations(self) -> None:
        self._waiting.clear()
        ends = [operation.end() for operation in self._operations.values()]
        for outcome in await asyncio.gather(*ends, *self._leaving, return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("a subscription did not end cleanly", exc_info=outcome)

    # Deadlines -------------------------------------------------------------------------------

    def on_due(self) -> None:
        """Look at the deadlines and come back at the next."""
        if self._is_over:
            return
        if self._caller is None:
            if not self._is_introduced:
                reason = "Connection initialisation timeout"
                self.close(CloseCode.INITIALISATION_TIMEOUT, reason)
            return
        left = self._seconds_left(self._caller.expires_at)
        if left is not None and left <= STEP_SECONDS:  # the wheel may be late by one step
            self.close(CloseCode.FORBIDDEN, CREDENTIAL_ENDED)
            return
        now = asyncio.get_running_loop().time()
        due = self._hear(now)
        if due is not None:
            at = due if left is None else min(due, now + left - STEP_SECONDS)
            self._parts.wheel.put(self, at)

    def _seconds_left(self, expires_at: datetime | None) -> float | None:
        if expires_at is None:
            return None
        return (expires_at - self._parts.edge.clock.now()).total_seconds()

    def _hear(self, now: float) -> float | None:
        """Ping who is silent, cut who stays so; return when to listen again."""
        seconds = self._parts.edge.settings.ping_seconds
        if now < self.wire.heard_at + seconds:
            return self.wire.heard_at + seconds
        if self._pinged_at <= self.wire.heard_at:
            self._pinged_at = now
            self.wire.ping()
        elif now >= self._pinged_at + seconds:
            self._is_over = True
            self.wire.abort()
            return None
        return self._pinged_at + seconds


def _too_many(limit: int) -> LimitReached:
    return LimitReached(
        f"A connection may have {limit} operations open at once", limit=limit, used=limit
    )
