"""The protocol graphql-transport-ws as browsers speak it, against a real server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from core.context import Context
from core.tokens import Tokens
from models.users import User
from tests.conftest import TEST_SECRET
from tests.contracts.serving import Api, access_token_of, give_key, sign_in
from tests.contracts.talking import (
    PROTOCOL,
    closed,
    connected,
    receive,
    subscribe,
    unintroduced,
)
from tests.factories import make_agent
from tests.fleetgraph.graphql.wired import eventually
from tests.schema.asking import record

pytestmark = pytest.mark.slow

FOLLOW = "subscription { readings { metric } }"
INIT = {"type": "connection_init"}
QUERY = {"query": "{ __typename }"}
SUBSCRIBE = {"id": "1", "type": "subscribe", "payload": QUERY}


def asking(**payload: object) -> dict[str, Any]:
    return {"id": "1", "type": "subscribe", "payload": QUERY | payload}


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        # Not a message at all.
        ([[]], 4400, "a message is a JSON object"),
        ([[INIT]], 4400, "a message is a JSON object"),
        (["connection_init"], 4400, "a message is a JSON object"),
        ([4], 4400, "a message is a JSON object"),
        ([None], 4400, "a message is a JSON object"),
        ([True], 4400, "a message is a JSON object"),
        ([b"{"], 4400, "is not JSON"),
        ([b""], 4400, "is empty"),
        ([b"[" * 5_000 + b"]" * 5_000], 4400, "JSON"),
        ([b"[" * 300 + b"]" * 300], 4400, "nested"),
        ([b"\x00\x01"], 4400, "is not JSON"),
        # No type that a client sends.
        ([{}], 4400, "type"),
        ([{"type": None}], 4400, "type"),
        ([{"type": ["ping"]}], 4400, "type"),
        ([{"type": "start"}], 4400, "type"),
        ([{"type": "CONNECTION_INIT"}], 4400, "type"),
        ([{"type": "connection_ack"}], 4400, "type"),
        ([INIT, {"type": "next", "id": "1", "payload": {}}], 4400, "type"),
        ([INIT, {"type": "error", "id": "1", "payload": []}], 4400, "type"),
        # Members that are missing or wrong.
        ([INIT | {"payload": "Bearer x"}], 4400, "payload"),
        ([INIT | {"payload": []}], 4400, "payload"),
        ([{"type": "ping", "payload": 1}], 4400, "payload"),
        ([{"type": "pong", "payload": "x"}], 4400, "payload"),
        ([INIT, {"type": "complete"}], 4400, "id"),
        ([INIT, {"type": "complete", "id": 1}], 4400, "id"),
        ([INIT, {"type": "subscribe", "payload": QUERY}], 4400, "id"),
        ([INIT, SUBSCRIBE | {"id": ""}], 4400, "id"),
        ([INIT, SUBSCRIBE | {"id": 1}], 4400, "id"),
        ([INIT, SUBSCRIBE | {"id": None}], 4400, "id"),
        ([INIT, SUBSCRIBE | {"id": "i" * 257}], 4400, "id"),
        ([INIT, {"id": "1", "type": "subscribe"}], 4400, "payload"),
        ([INIT, SUBSCRIBE | {"payload": None}], 4400, "payload"),
        ([INIT, SUBSCRIBE | {"payload": "{ __typename }"}], 4400, "payload"),
        ([INIT, SUBSCRIBE | {"payload": {}}], 4400, "query"),
        ([INIT, asking(query=1)], 4400, "query"),
        ([INIT, asking(query=None)], 4400, "query"),
        ([INIT, asking(variables=[])], 4400, "variables"),
        ([INIT, asking(variables="{}")], 4400, "variables"),
        ([INIT, asking(operationName=1)], 4400, "operationName"),
        ([INIT, asking(extensions=1)], 4400, "extensions"),
        # The right messages at the wrong time.
        ([SUBSCRIBE], 4401, "Unauthorized"),
        ([INIT, INIT], 4429, "Too many initialisation requests"),
        (
            [INIT, SUBSCRIBE | {"payload": {"query": FOLLOW}}, SUBSCRIBE],
            4409,
            "Subscriber for 1 already exists",
        ),
        # Credentials.
        ([INIT | {"payload": {"Authorization": "Bearer made.up"}}], 4403, "not valid"),
        ([INIT | {"payload": {"authorization": "Basic eA=="}}], 4403, "Bearer"),
        ([INIT | {"payload": {"authorization": "Bearer v2_9f01ab23_nobody"}}], 4403, ""),
        # More than fits.
        ([INIT, asking(query="#" * (1024 * 1024))], 1009, ""),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:60],
)
async def test_each_violation_has_its_code(
    ctx: Context, said: list[object], code: int, reason: str
) -> None:
    async with Api(ctx).server() as port, unintroduced(port) as socket:
        for message in said:
            await socket.send(message if isinstance(message, bytes) else json.dumps(message))
        found, why = await closed(socket)
        assert (found, reason in (why or "")) == (code, True), why


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
        answer = await receive(socket)
        assert (answer["id"], answer["type"]) == ("q", "next")
        assert answer["payload"]["data"] == {"me": {"username": user.username}}
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


async def test_an_id_is_free_again_after_its_end(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).server() as port, connected(port, {"authorization": token}) as socket:
        await receive(socket)
        for _ in range(2):
            await subscribe(socket, "1", "{ __typename }")
            assert (await receive(socket))["type"] == "next"
            assert (await receive(socket))["type"] == "complete"
            await subscribe(socket, "1", "{ nonsense }")
            assert (await receive(socket))["type"] == "error"
            await subscribe(socket, "1", FOLLOW)
            await socket.send(json.dumps({"id": "1", "type": "complete"}))


async def test_pings_are_answered_before_and_after_the_introduction(ctx: Context) -> None:
    async with Api(ctx).server() as port, unintroduced(port) as socket:
        for payload in ({"payload": {"at": 1}}, {}):
            await socket.send(json.dumps({"type": "ping"} | payload))
            assert await receive(socket) == {"type": "pong"} | payload
        await socket.send(json.dumps(INIT))
        assert await receive(socket) == {"type": "connection_ack"}
        for ignored in ({"type": "pong"}, {"type": "complete", "id": "unknown"}):
            await socket.send(json.dumps(ignored))
        await socket.send(json.dumps({"type": "ping", "payload": None}))
        assert await receive(socket) == {"type": "pong"}


async def test_what_cannot_run_is_told_under_its_id(ctx: Context) -> None:
    async with Api(ctx).server() as port, connected(port) as socket:
        await receive(socket)
        await subscribe(socket, "e", "{ nonsense }")
        refused = await receive(socket)
        assert (refused["id"], refused["type"]) == ("e", "error")
        (error,) = refused["payload"]
        assert error["extensions"]["code"] == "INVALID_INPUT"
        assert error["locations"]
        await subscribe(socket, "d", "{" * 2_000)
        assert (await receive(socket))["type"] == "error"
        await subscribe(socket, "q", "{ __typename }")
        assert (await receive(socket))["id"] == "q"


async def test_the_handshakes_header_signs_in_too(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).server() as port, connected(port, authorization=token) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await subscribe(socket, "q", "{ me { role } }")
        assert (await receive(socket))["payload"]["data"] == {"me": {"role": "owner"}}


async def test_agents_sign_in_with_their_device_key(ctx: Context) -> None:
    key = await give_key(ctx, await make_agent(ctx))
    parameters: dict[str, object] = {"authorization": f"Bearer {key}"}
    async with Api(ctx).server() as port, connected(port, parameters) as socket:
        assert (await receive(socket))["type"] == "connection_ack"


async def test_nobody_may_log_in_over_the_socket_and_nothing_else(ctx: Context) -> None:
    user, _ = await sign_in(ctx)
    login = "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { expiresAt } }"
    async with Api(ctx).server() as port, connected(port) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await subscribe(socket, "l", login, u=user.username, p="correct horse battery")
        assert (await receive(socket))["payload"]["data"]["login"]["expiresAt"]
        assert (await receive(socket))["type"] == "complete"
        await subscribe(socket, "r", FOLLOW)
        refused = await receive(socket)
        assert (refused["id"], refused["type"]) == ("r", "error")
        assert refused["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_credential_that_cannot_be_judged_now_may_try_again(ctx: Context) -> None:
    api = Api(ctx)
    api.is_down = True
    async with api.server() as port, connected(port, {"authorization": "Bearer x"}) as socket:
        code, reason = await closed(socket)
        assert code == 1013
        assert reason == "database is not available, try again"


async def test_a_deactivated_account_is_refused(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    await User.of(ctx.tenant_id, id=user.id).update(is_active=False)
    async with Api(ctx).server() as port, connected(port, {"authorization": token}) as socket:
        assert await closed(socket) == (4403, "This account is deactivated")


async def test_an_expired_token_is_refused_and_an_open_socket_ends_with_its_own(
    ctx: Context,
) -> None:
    user, _ = await sign_in(ctx)
    async with Api(ctx).server() as port:
        for seconds in (-1, 1):
            tokens = Tokens(TEST_SECRET, ctx.clock, ttl_seconds=seconds)
            token = await access_token_of(replace(ctx, tokens=tokens), user)
            async with connected(port, {"authorization": f"Bearer {token}"}) as socket:
                if seconds > 0:
                    assert (await receive(socket))["type"] == "connection_ack"
                assert await closed(socket) == (4403, "The access token has expired")


async def test_the_old_protocol_is_not_spoken(ctx: Context) -> None:
    async with Api(ctx).server() as port:
        url = f"ws://127.0.0.1:{port}/graphql"
        for offered in ([Subprotocol("graphql-ws")], None):
            async with asyncio.timeout(10), connect(url, subprotocols=offered) as socket:
                code, reason = await closed(socket)
                assert code == 4406
                assert reason == "Subprotocol not acceptable: offer graphql-transport-ws"


@pytest.mark.parametrize(
    ("origin", "origins", "may"),
    [
        ("https://evil.example", [], False),
        ("null", [], False),
        ("http://[", [], False),
        ("http://HOST", [], True),
        ("https://HOST", [], True),
        ("http://HOST.evil.example", [], False),
        ("https://app.example", ["https://app.example"], True),
        ("https://other.example", ["https://app.example"], False),
        ("https://evil.example", ["*"], True),
    ],
)
async def test_pages_of_strangers_may_not_connect(
    ctx: Context, origin: str, origins: list[str], may: bool
) -> None:
    async with Api(ctx, origins=origins).server() as port:
        url = f"ws://127.0.0.1:{port}/graphql"
        page = {"Origin": origin.replace("HOST", f"127.0.0.1:{port}")}
        status = 101
        try:
            async with (
                asyncio.timeout(10),
                connect(url, subprotocols=[PROTOCOL], additional_headers=page),
            ):
                pass
        except InvalidStatus as refused:
            status = refused.response.status_code
        assert status == (101 if may else 403)


async def test_leaving_ends_the_subscription_behind_it(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    await make_agent(ctx)
    api = Api(ctx)
    async with api.server() as port:
        async with connected(port, {"authorization": token}) as socket:
            await receive(socket)
            await subscribe(socket, "s", "subscription { agentChanged { name } }")
            await eventually(lambda: api.endpoint.live.group_count)
        await eventually(lambda: not api.endpoint.live.group_count)
        await eventually(lambda: not api.endpoint.sockets.open_count)
        assert not [task for task in asyncio.all_tasks() if "socket" in task.get_name()]
