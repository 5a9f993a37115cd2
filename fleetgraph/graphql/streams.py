"""Subscriptions over HTTP: opened, written, and ended with whatever ends first."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from graphql import OperationType
from starlette.types import Receive

from core.errors import AppError, Unauthenticated, Unavailable
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.encoding import encode_answer, rate_headers, refusal
from fleetgraph.graphql.exchange import Exchange
from fleetgraph.graphql.multipart import Multipart
from fleetgraph.graphql.negotiation import Stream
from fleetgraph.graphql.outlet import Framing, Outlet
from fleetgraph.graphql.sse import Sse
from rest_compat.streams import ACCESS_ENDED, TRANSPORT
from schema.context import GraphQLContext
from schema.execution.documents import Prepared
from schema.execution.shared import LiveSubscriptions, Ticket

_log = logging.getLogger("fleetgraph.graphql")

FRAMINGS: Final[Mapping[Stream, Framing]] = {Stream.SSE: Sse(), Stream.MULTIPART: Multipart()}

SEND_BUFFER_BYTES: Final = 128 * 1024
"""The kernel's share per stream: it would take 3 MB before we learned that a client is slow."""


class Streams:
    """All open streams of the process."""

    def __init__(self, edge: Edge, live: LiveSubscriptions) -> None:
        self._edge = edge
        self._live = live
        self._open: set[Outlet] = set()

    @property
    def open_count(self) -> int:
        """How many streams are open."""
        return len(self._open)

    def interrupt(self) -> None:
        """End every stream, because the server stops."""
        for outlet in self._open:
            outlet.interrupt(_only_errors(Unavailable("server")))

    async def serve(
        self,
        exchange: Exchange,
        stream: Stream,
        prepared: Prepared,
        variables: Mapping[str, Any] | None,
        context: GraphQLContext,
    ) -> None:
        """Answer with a stream until something ends it; raises Refused before its first byte."""
        settings = self._edge.settings
        if len(self._open) >= settings.sockets_max:
            raise Unavailable("room for another stream", limit=settings.sockets_max)
        framing = FRAMINGS[stream]
        outlet = Outlet(framing, unsent_bytes_max=settings.client_queue_bytes)
        self._open.add(outlet)
        ticket: Ticket | None = None
        try:
            if prepared.type is OperationType.SUBSCRIPTION:
                ticket = await self._live.open(prepared, variables, context, outlet)
            else:
                answer = await self._edge.engine.run(prepared, variables, context)
                outlet.send(encode_answer(answer))
                outlet.complete()
            await self._carry(exchange, framing, outlet, ticket, context)
        finally:
            self._open.discard(outlet)
            outlet.close()
            if ticket is not None:
                await ticket.close()

    async def _carry(
        self,
        exchange: Exchange,
        framing: Framing,
        outlet: Outlet,
        ticket: Ticket | None,
        context: GraphQLContext,
    ) -> None:
        transport = exchange.scope.get("extensions", {}).get(TRANSPORT)
        if transport is not None:
            _limit_send_buffer(transport)
        expiry = self._expiry(outlet, context)
        ended = partial(outlet.fail, _only_errors(Unauthenticated(ACCESS_ENDED)))
        leave = self._edge.presence.enter(context.ctx.caller, ended)
        tasks = [
            asyncio.create_task(self._write(exchange, framing, outlet, ticket)),
            asyncio.create_task(_until_gone(exchange.receive)),
            asyncio.create_task(outlet.is_cut.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if outlet.is_cut.is_set() and not tasks[0].done() and transport is not None:
                transport.abort()
                await tasks[1]  # the server wants to know of the end before we return
        finally:
            leave()
            if expiry is not None:
                expiry.cancel()
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                    _log.error(
                        "a stream failed (request %s)", exchange.request_id, exc_info=outcome
                    )

    async def _write(
        self, exchange: Exchange, framing: Framing, outlet: Outlet, ticket: Ticket | None
    ) -> None:
        """Write until the end; the server's `send` waits while the client does not read."""
        headers = [
            (b"content-type", framing.content_type),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would collect the answers
            (b"x-request-id", exchange.request_id.encode()),
            *rate_headers(exchange.rate),
        ]
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        has_more = True
        while has_more:
            chunk, has_more = await outlet.next_chunk(self._edge.settings.ping_seconds)
            message = {"type": "http.response.body", "body": chunk, "more_body": has_more}
            await exchange.send(message)
            outlet.written(chunk)
            if ticket is not None:
                ticket.flush()

    def _expiry(self, outlet: Outlet, context: GraphQLContext) -> asyncio.TimerHandle | None:
        ends = getattr(context.ctx.caller, "expires_at", None)
        if ends is None:
            return None
        seconds = (ends - self._edge.clock.now()).total_seconds()
        error = Unauthenticated("The access token has expired", expired=True)
        loop = asyncio.get_running_loop()
        return loop.call_later(max(seconds, 0.0), outlet.fail, _only_errors(error))


def _only_errors(error: AppError) -> bytes:
    return encode_answer(refusal(error))


def _limit_send_buffer(transport: asyncio.Transport) -> None:
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
