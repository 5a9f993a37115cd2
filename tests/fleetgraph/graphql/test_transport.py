"""Bytes to the transport, on the program's server and with a real client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from starlette.types import Receive
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fleetgraph.graphql import transport
from fleetgraph.graphql.frames import text_frame
from fleetgraph.graphql.transport import SEND_BUFFER_BYTES, WireProtocol
from fleetgraph.graphql.wires import AsgiWire, Wire
from tests.fleetgraph.graphql.wired import eventually, serving, sleeper, wired

pytestmark = pytest.mark.slow


class Kept:
    """An application's side: keeps the wire, and waits until the client goes."""

    def __init__(self) -> None:
        self.wires: list[Any] = []
        self.gone = 0

    async def serve(self, wire: Wire, receive: Receive) -> None:
        self.wires.append(wire)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.gone += 1

    async def wire(self) -> Any:
        await eventually(lambda: self.wires)
        return self.wires[0]


BOTH = pytest.mark.parametrize(
    ("server", "kind"), [({}, WireProtocol), ({"ws": "websockets-sansio"}, AsgiWire)]
)


@BOTH
async def test_frames_arrive_in_order_and_whole(server: dict[str, Any], kind: type) -> None:
    kept = Kept()
    texts = ["", "ü" * 100, "x" * 125, "y" * 126, "z" * 65_535, "w" * 65_536, "v" * 300_000]
    async with (
        serving(wired(kept.serve), **server) as (port, _),
        asyncio.timeout(10),
        connect(f"ws://127.0.0.1:{port}", compression=None) as client,
    ):
        wire = await kept.wire()
        assert kind.__name__ == type(wire).__name__
        for text in texts:
            wire.write(text_frame(text.encode()))
        assert [await client.recv() for _ in texts] == texts


@BOTH
async def test_nothing_follows_the_close_frame(server: dict[str, Any], kind: type) -> None:
    kept = Kept()
    async with (
        serving(wired(kept.serve), **server) as (port, _),
        asyncio.timeout(10),
        connect(f"ws://127.0.0.1:{port}") as client,
    ):
        wire = await kept.wire()
        wire.write(text_frame(b"last"))
        wire.close(4499, "é" * 100)
        wire.write(text_frame(b"too late"))
        wire.close(4000, "again")
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4499, "é" * 61)
        await eventually(lambda: kept.gone)


async def test_compression_is_refused() -> None:
    async with (
        serving(wired(Kept().serve)) as (port, _),
        connect(f"ws://127.0.0.1:{port}", compression="deflate") as client,
    ):
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_the_kernel_holds_little_and_delays_nothing() -> None:
    kept = Kept()
    async with serving(wired(kept.serve)) as (port, _), connect(f"ws://127.0.0.1:{port}"):
        peer = (await kept.wire()).transport.get_extra_info("socket")
        # Linux doubles what is asked for, and counts its own records against it.
        held = peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert SEND_BUFFER_BYTES <= held <= 2 * SEND_BUFFER_BYTES
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_wire_is_full_while_the_client_sleeps_and_tells_when_it_wakes() -> None:
    kept = Kept()
    told: list[None] = []
    async with serving(wired(kept.serve)) as (port, _), sleeper(port) as peer:
        wire = await kept.wire()
        wire.limit(8_192)
        wire.on_room = lambda: told.append(None)
        sent = 0
        while not wire.is_full:
            wire.write(text_frame(b"x" * 1_000))
            sent += 1_004
            await asyncio.sleep(0)
        assert wire.unsent_bytes() > 8_192
        waiting = asyncio.create_task(wire.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert not told
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while sent:
                sent -= len(await loop.sock_recv(peer, 1 << 16))
            await waiting
        assert len(told) == 1
        assert not wire.is_full


async def test_whoever_reads_nothing_is_cut_after_the_close_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "WAKE_SECONDS", 0.05)
    kept = Kept()
    async with serving(wired(kept.serve)) as (port, server), sleeper(port):
        wire = await kept.wire()
        wire.limit(8_192)
        while not wire.is_full:
            wire.write(text_frame(b"x" * 1_000))
            await asyncio.sleep(0)
        wire.close(4430, "too slow")
        await eventually(lambda: not server.server_state.connections)
        assert kept.gone == 1


async def test_one_that_was_too_slow_learns_it_when_it_wakes() -> None:
    kept = Kept()
    async with serving(wired(kept.serve)) as (port, _), sleeper(port) as peer:
        wire = await kept.wire()
        wire.limit(8_192)
        while not wire.is_full:
            wire.write(text_frame(b"x" * 1_000))
            await asyncio.sleep(0)
        wire.close(4430, "too slow")
        loop, read = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while not read.endswith(b"too slow"):
                read += await loop.sock_recv(peer, 1 << 16)
        assert read[-10:-8] == (4430).to_bytes(2)


async def test_a_stopping_server_says_that_it_goes_and_waits_for_nobody() -> None:
    kept = Kept()
    async with serving(wired(kept.serve)) as (port, server), sleeper(port):
        async with asyncio.timeout(10), connect(f"ws://127.0.0.1:{port}") as client:
            await eventually(lambda: len(kept.wires) == 2)
            server.should_exit = True
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1001
        await eventually(lambda: not server.server_state.connections)


@pytest.mark.parametrize("fragments", [1, 3])
async def test_a_message_over_the_limit_is_told_so(fragments: int) -> None:
    kept = Kept()
    async with (
        serving(wired(kept.serve), ws_max_size=1_000_000) as (port, server),
        asyncio.timeout(10),
        connect(f"ws://127.0.0.1:{port}", compression=None) as client,
    ):
        with contextlib.suppress(ConnectionClosed):
            await client.send(["x" * (6_000_000 // fragments)] * fragments)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009
        await eventually(lambda: not server.server_state.connections)


async def test_a_text_that_is_no_text_is_told_so() -> None:
    async with (
        serving(wired(Kept().serve)) as (port, _),
        asyncio.timeout(10),
        connect(f"ws://127.0.0.1:{port}", compression=None) as client,
    ):
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1007


async def test_what_clients_send_in_fragments_is_one_message() -> None:
    got: list[Any] = []

    async def serve(wire: Wire, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])
            wire.write(text_frame(b"answer"))

    async with (
        serving(wired(serve)) as (port, _),
        asyncio.timeout(10),
        connect(f"ws://127.0.0.1:{port}", compression=None) as client,
    ):
        await client.send(["a", "b", "c"])
        assert await client.recv() == "answer"
    assert got == ["abc"]
