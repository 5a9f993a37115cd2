"""A small application behind the program's server, and a client that reads as it likes."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from fleetgraph.graphql.wires import Wire, wire_of
from fleetgraph.server import uvicorn_config

Serve = Callable[[Wire, Receive], Awaitable[None]]


@asynccontextmanager
async def serving(app: Any, **changes: Any) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """Serve on a free port of the loopback; yields the port and the server."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn_config(app, **changes))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110  # uvicorn offers no event
                await asyncio.sleep(0.01)
        yield listening.getsockname()[1], server
    finally:
        server.should_exit = True
        await running
        listening.close()


def wired(serve: Serve) -> Any:
    """Return an application that accepts each WebSocket and lets `serve` have its wire."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await serve(wire_of(scope, send), receive)

    return app


@asynccontextmanager
async def sleeper(port: int, *, subprotocol: str | None = None) -> AsyncIterator[socket.socket]:
    """Open a WebSocket of which nobody reads more than the handshake."""
    key = base64.b64encode(b"sixteen bytes ok").decode()
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    request = (
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"{chosen}\r\n"
    )
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(peer, ("127.0.0.1", port))
        await loop.sock_sendall(peer, request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = await loop.sock_recv(peer, 1)
            assert byte, head
            head += byte
        assert b" 101 " in head
        yield peer


async def eventually(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # polled from outside
            await asyncio.sleep(0.01)
