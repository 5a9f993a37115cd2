"""A client of graphql-transport-ws that says what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")


@asynccontextmanager
async def unintroduced(port: int, **headers: str) -> AsyncIterator[ClientConnection]:
    """Open a connection that has said nothing yet."""
    url = f"ws://127.0.0.1:{port}/graphql"
    async with (
        asyncio.timeout(20),
        connect(url, subprotocols=[PROTOCOL], additional_headers=headers) as socket,
    ):
        yield socket


@asynccontextmanager
async def connected(
    port: int, payload: dict[str, object] | None = None, **headers: str
) -> AsyncIterator[ClientConnection]:
    """Open a connection and introduce it; the acknowledgement is still to come."""
    async with unintroduced(port, **headers) as socket:
        first = {"type": "connection_init"} | ({"payload": payload} if payload else {})
        await socket.send(json.dumps(first))
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    frame = await socket.recv()
    assert isinstance(frame, str), "browsers do not parse binary frames"
    message: dict[str, Any] = json.loads(frame)
    return message


async def subscribe(socket: ClientConnection, id_: str, query: str, **variables: object) -> None:
    """Start an operation."""
    payload = {"query": query, "variables": variables}
    await socket.send(json.dumps({"id": id_, "type": "subscribe", "payload": payload}))


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Return code and reason of the end that the server makes, whatever it says before."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code, socket.close_reason
