"""The protocol graphql-transport-ws as browsers speak it, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from core.context import Context
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent
from tests.schema.asking import record

PROTOCOL = Subprotocol("graphql-transport-ws")


@asynccontextmanager
async def connected(
    port: int, payload: dict[str, object] | None = None, **headers: str
) -> AsyncIterator[ClientConnection]:
    """Open a connection and introduce it; the acknowledgement is still to come."""
    url = f"ws://127.0.0.1:{port}/graphql"
    async with (
        asyncio.timeout(10),
        connect(url, subprotocols=[PROTOCOL], additional_headers=headers) as socket,
    ):
        first = {"type": "connection_init"} | ({"payload": payload} if payload else {})
        await socket.send(json.dumps(first))
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    frame = await socket.recv()
    assert isinstance(frame, str), "browsers do not parse binary frames"
    message: dict[str, Any] = json.loads(frame)
    return message


async def subscribe(socket: ClientConnection, id_: str, query: str, **variables: object) -> None:
    payload = {"query": query, "variables": variables}
    await socket.send(json.dumps({"id": id_, "type": "subscribe", "payload": payload}))


async def test_one_connection_queries_and_follows(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    now = ctx.clock.now().replace(microsecond=0) - timedelta(minutes=1)
    await record(ctx, agent, "temp", [(now, 1.0)])
    async with (
        Api(ctx).server() as port,
        connected(port, {"authorization": token}) as socket,
    ):
        assert await receive(socket) == {"type": "connection_ack"}
        await subscribe(socket, "q", "{ me { username } }")
        data = {"me": {"username": user.username}}
        assert await receive(socket) == {"id": "q", "type": "next", "payload": {"data": data}}
        assert await receive(socket) == {"id": "q", "type": "complete"}
        await subscribe(socket, "s", "subscription { readings { metric timestamps values } }")
        first = await receive(socket)
        at = int(now.timestamp() * 1_000)
        assert first["payload"]["data"]["readings"] == {
            "metric": "temp",
            "timestamps": [at],
            "values": [1.0],
        }
        await record(ctx, agent, "temp", [(now + timedelta(seconds=1), float("inf"))])
        second = await receive(socket)
        assert second["payload"]["data"]["readings"]["values"] == [None]
        await socket.send(json.dumps({"id": "s", "type": "complete"}))
        await socket.send(json.dumps({"type": "ping"}))
        assert await receive(socket) == {"type": "pong"}


async def test_the_handshakes_header_signs_in_too(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).server() as port, connected(port, authorization=token) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await subscribe(socket, "q", "{ me { role } }")
        assert (await receive(socket))["payload"] == {"data": {"me": {"role": "owner"}}}


async def test_nobody_may_log_in_over_the_socket_and_nothing_else(ctx: Context) -> None:
    user, _ = await sign_in(ctx)
    login = "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { expiresAt } }"
    async with Api(ctx).server() as port, connected(port) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await subscribe(socket, "l", login, u=user.username, p="correct horse battery")
        assert (await receive(socket))["payload"]["data"]["login"]["expiresAt"]
        assert (await receive(socket))["type"] == "complete"
        await subscribe(socket, "r", "subscription { readings { metric } }")
        refused = await receive(socket)
        (error,) = refused["payload"]["errors"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED"}
        assert (await receive(socket)) == {"id": "r", "type": "complete"}


@pytest.mark.parametrize(("is_down", "code"), [(False, 4403), (True, 1013)])
async def test_a_failing_credential_closes_with_a_telling_code(
    ctx: Context, is_down: bool, code: int
) -> None:
    api = Api(ctx)
    api.is_down = is_down
    payload: dict[str, object] = {"Authorization": "Bearer made.up"}
    async with api.server() as port, connected(port, payload) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == code
        assert socket.close_reason


async def test_subscribing_before_the_introduction_is_unauthorized(ctx: Context) -> None:
    async with Api(ctx).server() as port:
        url = f"ws://127.0.0.1:{port}/graphql"
        async with asyncio.timeout(10), connect(url, subprotocols=[PROTOCOL]) as socket:
            await subscribe(socket, "q", "{ __typename }")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4401


async def test_the_old_protocol_is_not_spoken(ctx: Context) -> None:
    async with Api(ctx).server() as port:
        url = f"ws://127.0.0.1:{port}/graphql"
        old = [Subprotocol("graphql-ws")]
        async with asyncio.timeout(10), connect(url, subprotocols=old) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4406


async def test_pages_of_strangers_may_not_connect(ctx: Context) -> None:
    async with Api(ctx).server() as port:
        url = f"ws://127.0.0.1:{port}/graphql"
        strange = {"Origin": "https://evil.example"}
        with pytest.raises(InvalidStatus):
            async with (
                asyncio.timeout(10),
                connect(url, subprotocols=[PROTOCOL], additional_headers=strange),
            ):
                pass


async def test_leaving_ends_the_subscription_behind_it(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    await make_agent(ctx)
    async with Api(ctx).server() as port:
        async with connected(port, {"authorization": token}) as socket:
            await receive(socket)
            await subscribe(socket, "s", "subscription { agentChanged { name } }")
            topics = ctx.bus._inner._fanout  # type: ignore[attr-defined]  # the recording bus
            async with asyncio.timeout(5):
                while not topics.topics:  # noqa: ASYNC110  # polled from outside
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            while topics.topics:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
