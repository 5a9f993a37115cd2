"""Heads of requests on the program's server, from a client that keeps to no rules."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from fleetgraph.graphql.http_transport import HEAD_BYTES_MAX
from tests.fleetgraph.graphql.wired import serving

PIECE = 8 * 1024
OPENING = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNKED = OPENING + b"Transfer-Encoding: chunked\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    size, is_more = 0, True
    while is_more:
        message = await receive()
        size += len(message.get("body", b""))
        is_more = message.get("more_body", False)
    body = f"{size} {len(scope['headers'])}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def said(port: int, opening: bytes, piece: bytes, times: int, end: bytes = b"") -> bytes:
    """Send piece by piece until the server has heard enough, and return its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                for part in (opening, *[piece] * times, end):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
            with suppress(ConnectionError):
                answer = await reader.read()
    finally:
        writer.close()
    return answer


@pytest.mark.parametrize(
    ("opening", "piece"),
    [
        (OPENING, b"X: y\r\n" * (PIECE // 6)),
        (OPENING + b"X: ", b"y" * PIECE),
        (b"GET /", b"y" * PIECE),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * (PIECE // 6)),
        (CHUNKED + b"0\r\nX: ", b"y" * PIECE),
        (CHUNKED + b"1;", b"y" * PIECE),
    ],
    ids=["headers", "header", "url", "trailers", "trailer", "chunk extension"],
)
async def test_a_head_without_end_is_not_kept(opening: bytes, piece: bytes) -> None:
    async with serving(app) as (port, server):
        await said(port, opening, piece, 8 * HEAD_BYTES_MAX // PIECE)
        async with asyncio.timeout(10):
            while server.server_state.connections:  # noqa: ASYNC110  # uvicorn offers no event
                await asyncio.sleep(0.01)


async def test_long_heads_and_bodies_in_small_chunks_are_read() -> None:
    chunks = b"1\r\na\r\n" * (HEAD_BYTES_MAX // 6)
    async with serving(app) as (port, _):
        head = OPENING + b"X: y\r\n" * 2_000
        assert b"2 2003" in await said(port, head, b"", 0, b"Content-Length: 2\r\n\r\nab")
        bytes_sent = b"%d 3" % (3 * (HEAD_BYTES_MAX // 6))
        assert bytes_sent in await said(port, CHUNKED, chunks, 3, b"0\r\n\r\n")
        stated = OPENING + b"Content-Length: %d\r\n\r\n" % (20 * PIECE)
        assert b"%d 3" % (20 * PIECE) in await said(port, stated, b"z" * PIECE, 20)
