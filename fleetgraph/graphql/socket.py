"""The endpoint's WebSockets: who may connect, and with which protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from fleetgraph.graphql.codes import CloseCode
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.exchange import headers_of, request_id_of
from fleetgraph.graphql.socket_connection import Connection, Parts
from fleetgraph.graphql.wheel import Wheel
from fleetgraph.graphql.wires import wire_of
from schema.execution.shared import LiveSubscriptions

PROTOCOL: Final = "graphql-transport-ws"


class SocketEndpoint:
    """An ASGI application for WebSockets; one per process."""

    def __init__(self, edge: Edge, live: LiveSubscriptions) -> None:
        self._parts = Parts(edge, live, Wheel())
        self._open = 0

    @property
    def open_count(self) -> int:
        """How many sockets are open."""
        return self._open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await receive()  # websocket.connect
        settings = self._parts.edge.settings
        headers = headers_of(scope)
        if not is_known_origin(headers, self._parts.edge.origins):
            await send({"type": "websocket.close"})  # 403
        elif self._open >= settings.sockets_max:
            await _refuse_for_now(scope, send)
        elif PROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            code = CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE
            reason = f"Subprotocol not acceptable: offer {PROTOCOL}"
            await send({"type": "websocket.close", "code": code, "reason": reason})
        else:
            self._open += 1
            try:
                await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
                await self._serve(scope, receive, send, headers)
            finally:
                self._open -= 1

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]
    ) -> None:
        client = scope.get("client")
        request_id = request_id_of(scope, headers)
        remote_address = client[0] if client else ""
        wire = wire_of(scope, send)
        await Connection(self._parts, wire, headers, request_id, remote_address).run(receive)


def is_known_origin(headers: Mapping[str, str], origins: Sequence[str]) -> bool:
    """Return whether a page may connect: our own, a known one; programs send no origin.

    Hosts are compared without the scheme, which a proxy in front may have changed.
    """
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(host) and host.lower() == headers.get("host", "").lower()


async def _refuse_for_now(scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"retry-after", b"1"), (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"Too many sockets are open\n"})
