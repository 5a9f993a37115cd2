"""Deadlines, limits and slow clients of the socket endpoint, on the program's server."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.typing import Subprotocol

from fleetgraph.graphql import transport
from tests.contracts.talking import closed, connected, receive, subscribe, unintroduced
from tests.fleetgraph.graphql.standing import Standing, payload
from tests.fleetgraph.graphql.wired import eventually, sleeper

pytestmark = pytest.mark.slow

BOTH_WIRES = pytest.mark.parametrize("server", [{}, {"ws": "websockets-sansio"}])


async def follow(socket: ClientConnection, standing: Standing, *ids: str) -> None:
    for id_ in ids:
        await subscribe(socket, id_, "follow")
    await eventually(lambda: set(ids) <= set(standing.live.tickets))


@BOTH_WIRES
async def test_queries_answer_and_subscriptions_follow(server: dict[str, Any]) -> None:
    standing = Standing()
    async with standing.server(**server) as (port, _), connected(port) as socket:
        assert await receive(socket) == {"type": "connection_ack"}
        await subscribe(socket, "q", "echo", a="ü")
        assert await receive(socket) == {
            "id": "q",
            "type": "next",
            "payload": {"data": {"a": "ü"}},
        }
        assert await receive(socket) == {"id": "q", "type": "complete"}
        await follow(socket, standing, 's"1')
        standing.live.tickets['s"1'].deliver(payload(n=1))
        expected = {"id": 's"1', "type": "next", "payload": {"data": {"n": 1}}}
        assert await receive(socket) == expected
        standing.live.tickets['s"1'].member.complete()
        assert await receive(socket) == {"id": 's"1', "type": "complete"}
        await eventually(lambda: not standing.live.tickets)
        await follow(socket, standing, 's"1')
    await eventually(lambda: not standing.live.tickets)
    assert standing.endpoint.open_count == 0


async def test_an_unexpected_failure_is_masked_and_ends_only_its_operation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Standing().server() as (port, _), connected(port) as socket:
        await receive(socket)
        await subscribe(socket, "f", "fail")
        failed = await receive(socket)
        assert (failed["id"], failed["type"]) == ("f", "error")
        assert "secret" not in json.dumps(failed)
        assert failed["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert failed["payload"][0]["extensions"]["requestId"] in caplog.text
        await subscribe(socket, "f", "echo")
        assert (await receive(socket))["type"] == "next"


async def test_completing_cancels_what_runs() -> None:
    standing = Standing()
    async with standing.server() as (port, _), connected(port) as socket:
        await receive(socket)
        await subscribe(socket, "h", "hang")
        await eventually(lambda: standing.engine.hanging)
        await socket.send(json.dumps({"id": "h", "type": "complete"}))
        await eventually(lambda: not standing.engine.hanging)
        await subscribe(socket, "h", "hang")
        await eventually(lambda: standing.engine.hanging)
    await eventually(lambda: not standing.engine.hanging)


async def test_nothing_follows_a_clients_complete() -> None:
    standing = Standing()
    async with standing.server() as (port, _), connected(port) as socket:
        await receive(socket)
        await follow(socket, standing, "1")
        ticket = standing.live.tickets["1"]
        await socket.send(json.dumps({"id": "1", "type": "complete"}))
        await eventually(lambda: not standing.live.tickets)
        ticket.deliver(payload(n=1))
        ticket.member.complete()
        await socket.send(json.dumps({"type": "ping"}))
        assert await receive(socket) == {"type": "pong"}


# Limits -------------------------------------------------------------------------------------


async def test_one_operation_too_many_is_refused_and_the_others_go_on() -> None:
    standing = Standing(subscriptions_max=2)
    async with standing.server() as (port, _), connected(port) as socket:
        await receive(socket)
        await follow(socket, standing, "1", "2")
        await subscribe(socket, "3", "follow")
        refused = await receive(socket)
        assert (refused["id"], refused["type"]) == ("3", "error")
        assert refused["payload"][0]["extensions"] == {
            "code": "LIMIT_REACHED",
            "limit": 2,
            "used": 2,
        }
        await socket.send(json.dumps({"id": "1", "type": "complete"}))
        await follow(socket, standing, "3")
        standing.live.tickets["2"].deliver(payload(n=1))
        assert (await receive(socket))["id"] == "2"


async def test_one_socket_too_many_is_told_to_come_back() -> None:
    standing = Standing(sockets_max=1)
    async with standing.server() as (port, _):
        async with unintroduced(port):
            with pytest.raises(InvalidStatus) as refused:
                async with unintroduced(port):
                    pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "1"
        await eventually(lambda: not standing.endpoint.open_count)
        async with unintroduced(port):
            pass


# Deadlines ----------------------------------------------------------------------------------


@BOTH_WIRES
async def test_whoever_does_not_introduce_itself_is_closed(server: dict[str, Any]) -> None:
    standing = Standing(init_seconds_max=0.1)
    async with standing.server(**server) as (port, _), unintroduced(port) as socket:
        assert await closed(socket) == (4408, "Connection initialisation timeout")


async def test_a_credential_that_takes_too_long_to_judge_may_try_again() -> None:
    standing = Standing(init_seconds_max=0.1)
    standing.judging = asyncio.Event()
    async with standing.server() as (port, _), connected(port) as socket:
        assert (await closed(socket))[0] == 1013


async def test_a_socket_ends_with_its_token() -> None:
    standing = Standing()
    ends = standing.clock.now() + timedelta(seconds=0.4)
    standing.caller = replace(standing.caller, expires_at=ends)
    async with standing.server() as (port, _), connected(port) as socket:
        assert await receive(socket) == {"type": "connection_ack"}
        await follow(socket, standing, "1")
        standing.clock.advance(seconds=0.35)
        assert await closed(socket) == (4403, "The access token has expired")
    await eventually(lambda: not standing.live.tickets)


@pytest.mark.slow
async def test_silence_is_pinged_and_an_answer_keeps_the_connection() -> None:
    async with Standing(ping_seconds=1).server() as (port, _), connected(port) as socket:
        await receive(socket)
        pinged: list[float] = []
        answer = socket.protocol.recv_frame

        def count(frame: Frame) -> None:
            if frame.opcode is Opcode.PING:
                pinged.append(asyncio.get_running_loop().time())
            answer(frame)

        socket.protocol.recv_frame = count  # type: ignore[method-assign]
        await eventually(lambda: len(pinged) == 3)
        await socket.send(json.dumps({"type": "ping"}))
        assert await receive(socket) == {"type": "pong"}


@pytest.mark.slow
async def test_whoever_stays_silent_is_cut() -> None:
    standing = Standing(ping_seconds=1)
    async with (
        standing.server() as (port, server),
        sleeper(port, subprotocol="graphql-transport-ws") as peer,
    ):
        await say(peer, {"type": "connection_init"})
        await eventually(lambda: standing.endpoint.open_count == 1)
        await eventually(lambda: not standing.endpoint.open_count)
        assert not server.server_state.connections


# Slow clients -------------------------------------------------------------------------------


async def say(peer: Any, *messages: object) -> None:
    """Send messages over a socket that nobody reads."""
    client = Protocol(Side.CLIENT)
    for message in messages:
        client.send_text(json.dumps(message).encode())
    await asyncio.get_running_loop().sock_sendall(peer, b"".join(client.data_to_send()))


async def asleep(standing: Standing, port: int, stack: AsyncExitStack, *ids: str) -> Any:
    """Return a client that follows and reads nothing."""
    peer = await stack.enter_async_context(sleeper(port, subprotocol="graphql-transport-ws"))
    started = [{"id": id_, "type": "subscribe", "payload": {"query": "follow"}} for id_ in ids]
    await say(peer, {"type": "connection_init"}, *started)
    await eventually(lambda: set(ids) <= set(standing.live.tickets))
    return peer


async def fill(standing: Standing, id_: str) -> None:
    ticket = standing.live.tickets[id_]
    while ticket.waiting is None:
        ticket.deliver(payload(text="x" * 1_000))
        await asyncio.sleep(0)


async def read_for(peer: Any, wanted: bytes) -> bytes:
    """Read until the bytes have come."""
    loop, got = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(10):
        while wanted not in got:
            part = await loop.sock_recv(peer, 1 << 16)
            assert part
            got += part
    return bytes(got)


async def test_a_client_that_wakes_gets_what_waited_for_each_subscription() -> None:
    standing = Standing(client_queue_bytes=8_192)
    async with standing.server() as (port, _), AsyncExitStack() as stack:
        peer = await asleep(standing, port, stack, "a", "b", "c")
        await fill(standing, "a")
        for id_ in ("b", "c"):
            standing.live.tickets[id_].deliver(payload(old=1))
            standing.live.tickets[id_].deliver(payload(newest=id_))
        got = await read_for(peer, b'{"newest":"c"}')
        assert b'{"newest":"b"}' in got
        assert b"old" not in got


@pytest.mark.slow
async def test_a_client_cut_for_slowness_learns_why_if_it_reads_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "WAKE_SECONDS", 2.0)
    standing = Standing(client_queue_bytes=8_192)
    async with standing.server() as (port, server), AsyncExitStack() as stack:
        peer = await asleep(standing, port, stack, "a", "b")
        await fill(standing, "a")
        standing.live.tickets["a"].member.cut("too slow for too long")
        await read_for(peer, (4430).to_bytes(2) + b"too slow for too long")
        await eventually(lambda: not standing.live.tickets)
        await eventually(lambda: not server.server_state.connections)


async def test_whoever_does_not_read_may_not_ask_for_more() -> None:
    standing = Standing(client_queue_bytes=8_192)
    async with standing.server() as (port, _), AsyncExitStack() as stack:
        peer = await asleep(standing, port, stack, "a")
        await fill(standing, "a")
        hang = {"type": "subscribe", "payload": {"query": "hang"}}
        # One message is read already, and waits for its turn; the next ones stay outside.
        await say(peer, *({"id": f"h{n}"} | hang for n in range(5)))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert standing.engine.hanging <= 1
        await read_for(peer, b"xxx")
        reading = asyncio.create_task(read_for(peer, b"never"))
        await eventually(lambda: standing.engine.hanging == 5)
        reading.cancel()


async def test_the_subprotocol_is_chosen_among_several() -> None:
    async with Standing().server() as (port, _):
        offered = [Subprotocol("graphql-ws"), Subprotocol("graphql-transport-ws")]
        async with connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=offered) as socket:
            assert socket.subprotocol == "graphql-transport-ws"
