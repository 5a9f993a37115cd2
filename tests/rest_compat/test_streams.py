from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.callers import NOBODY, Caller, Role
from core.clock import SystemClock
from core.events import AccessChanged
from fleetgraph.presence import Presence
from rest_compat import streams
from rest_compat.catalog import load_catalog
from rest_compat.endpoints import Endpoint
from rest_compat.streams import unwatched
from tests.fleetgraph.graphql.wired import eventually, serving
from tests.rest_compat.family_schema import toy


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    document = 'subscription S($n: Int!) @rest(get: "/x", codec: SSE) { ticks(upTo: $n) }'
    (tmp_path / "toy.graphql").write_text(document, encoding="utf-8")
    return load_catalog(toy(), tmp_path).endpoints[0]


class Source:
    """Events as a test gives them; says whether it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.is_closed = False

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.is_closed = True


async def test_who_leaves_a_silent_stream_leaves_nothing_running(endpoint: Endpoint) -> None:
    source = Source()
    source.queue.put_nowait({"ticks": 1, "_id": "a\nb", "_event": "tick"})
    frames = streams._frames(endpoint, source.events(), "r", NOBODY, unwatched)
    before = asyncio.all_tasks()
    assert await anext(frames) == b":\n\n"
    assert await anext(frames) == b"id: a b\nevent: tick\ndata: 1\n\n"
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.is_closed
    assert asyncio.all_tasks() <= before


async def test_a_silent_stream_shows_that_it_lives(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SILENCE_SECONDS", 0.01)
    source = Source()
    frames = streams._frames(endpoint, source.events(), "r", NOBODY, unwatched)
    assert [await anext(frames) for _ in range(3)] == [b":\n\n"] * 3
    source.queue.put_nowait({"ticks": 2})
    while (frame := await anext(frames)) == b":\n\n":
        pass
    assert frame == b"data: 2\n\n"
    await frames.aclose()  # type: ignore[attr-defined]
    assert source.is_closed


async def test_a_stream_ends_with_the_callers_token(endpoint: Endpoint) -> None:
    source = Source()
    source.queue.put_nowait({"ticks": 1})
    expires_at = SystemClock().now() + timedelta(seconds=0.3)
    caller = replace(NOBODY, expires_at=expires_at)
    async with asyncio.timeout(10):
        told = streams._frames(endpoint, source.events(), "r", caller, unwatched)
        frames = [frame async for frame in told]
    assert frames[1] == b"data: 1\n\n"
    assert frames[-1].startswith(b"event: error\n")
    assert b'"UNAUTHENTICATED"' in frames[-1]
    assert source.is_closed


async def test_a_stream_ends_with_the_callers_access(endpoint: Endpoint) -> None:
    source, presence = Source(), Presence()
    source.queue.put_nowait({"ticks": 1})
    caller = Caller(Role.AGENT, 1, agent_id=7)
    frames = streams._frames(endpoint, source.events(), "r", caller, presence.enter)
    async with asyncio.timeout(10):
        assert [await anext(frames) for _ in range(2)][1] == b"data: 1\n\n"
        assert presence.open_count == 1
        presence.end_changed(AccessChanged(1, agent_id=7))
        (last,) = [frame async for frame in frames]
    assert last.startswith(b"event: error\n")
    assert b'"UNAUTHENTICATED"' in last
    assert source.is_closed
    assert presence.open_count == 0


async def test_a_client_that_reads_nothing_is_cut(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SEND_SECONDS", 0.2)
    source = Source()
    for _ in range(200):
        source.queue.put_nowait({"ticks": "x" * 100_000})

    async def stream(request: Request) -> Response:
        return streams.streamed(endpoint, source.events(), request, "r", NOBODY, unwatched)

    app = Starlette(routes=[Route("/x", stream)])
    async with serving(app) as (port, server):
        with socket.create_connection(("127.0.0.1", port)) as sleeper:
            sleeper.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: source.is_closed)
            await eventually(lambda: not server.server_state.connections)
            assert source.queue.qsize() > 0
