"""Requests on the program's server, from a client that keeps to no rules."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from fleetgraph.graphql import http_transport
from fleetgraph.graphql.http_transport import HEAD_BYTES_MAX
from fleetgraph.graphql.wires import Wire
from tests.fleetgraph.graphql.wired import eventually, serving, sleeper, wired

pytestmark = pytest.mark.slow

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


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transport, "PATIENCE_SECONDS", 0.2)


async def heard(port: int, *pieces: bytes) -> bytes:
    """Send pieces and no more, and return what comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            answer = asyncio.create_task(reader.read())
            for piece in pieces:
                if not answer.done():
                    writer.write(piece)
                    await asyncio.sleep(0.02)
            return await answer
    finally:
        writer.close()


async def continued(port: int) -> bytes:
    """Send a body once the server asks for it, and return what comes then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            writer.write(OPENING + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ab")
            return await reader.read()
    finally:
        writer.close()


KEPT = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("pieces", "statuses"),
    [
        ([], []),
        ([b"\r\n"], []),
        ([b"POST"], [b"408"]),
        ([OPENING, b"X: "], [b"408"]),
        ([OPENING + b"Content-Length: 2\r\n\r\n"], [b"408"]),
        ([OPENING + b"Content-Length: 2\r\n\r\n", b"a"], [b"408"]),
        ([CHUNKED + b"1\r\na\r\n"], [b"408"]),
        ([KEPT + b"ab", b"GET"], [b"200", b"408"]),
        ([KEPT + b"ab", b"\r\n"], [b"200", b"408"]),
    ],
    ids=["nothing", "blank", "method", "head", "no body", "body", "chunk", "second", "stray"],
)
async def test_a_request_that_does_not_go_on_ends_its_connection(
    pieces: list[bytes], statuses: list[bytes]
) -> None:
    async with serving(app) as (port, server):
        answers = (await heard(port, *pieces)).split(b"HTTP/1.1 ")[1:]
        assert [answer[:3] for answer in answers] == statuses
        await eventually(lambda: not server.server_state.connections)


@pytest.mark.usefixtures("hurried")
async def test_a_body_that_trickles_is_read_for_as_long_as_it_takes() -> None:
    async with serving(app) as (port, _):
        head = OPENING + b"Content-Length: 30\r\n\r\n"
        assert b"30 3" in await heard(port, head, *[b"z"] * 30)


@pytest.mark.usefixtures("hurried")
async def test_a_head_that_trickles_is_not() -> None:
    async with serving(app) as (port, _):
        assert b" 408 " in await heard(port, OPENING, *[b"X: y\r\n"] * 30, b"\r\n")


@pytest.mark.usefixtures("hurried")
async def test_nobody_is_hurried_while_the_server_works() -> None:
    is_due = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await is_due.wait()
        await app(scope, receive, send)

    async with serving(slow) as (port, _):
        whole = asyncio.create_task(heard(port, OPENING + b"Content-Length: 2\r\n\r\nab"))
        large = OPENING + b"Content-Length: %d\r\n\r\n" % (60 * PIECE)
        unread = asyncio.create_task(said(port, large, b"z" * PIECE, 60))
        polite = asyncio.create_task(continued(port))
        await asyncio.sleep(0.6)  # three times the patience
        is_due.set()
        assert b"2 3" in await whole
        assert b"%d 3" % (60 * PIECE) in await unread
        assert b"2 4" in await polite


@pytest.mark.usefixtures("hurried")
async def test_an_answer_that_came_early_is_not_followed_by_another() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body"})

    async with serving(early) as (port, _):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        answer = await heard(port, head, b"a")
        assert answer.count(b"HTTP/1.1") == 1
        assert b" 413 " in answer


@pytest.mark.usefixtures("hurried")
async def test_a_websocket_is_not_taken_for_a_request_without_end() -> None:
    async def serve(wire: Wire, receive: Receive) -> None:
        await asyncio.sleep(0.6)
        wire.write(b"\x81\x02ab")
        await receive()

    async with serving(wired(serve)) as (port, _), sleeper(port) as peer:
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().sock_recv(peer, 4) == b"\x81\x02ab"
