"""Subscriptions over HTTP, by graphql-sse and by multipart, against a real server."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.context import Context
from core.tokens import Tokens
from fleetgraph.graphql.sse import Sse
from tests.conftest import TEST_SECRET
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent
from tests.schema.asking import record
from tests.tools import until

pytestmark = pytest.mark.slow

SSE = "text/event-stream"
MULTIPART = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0", application/json'
READINGS = {"query": "subscription { readings { metric values } }"}


@asynccontextmanager
async def asked(
    port: int, body: dict[str, Any], accept: str, token: str = ""
) -> AsyncIterator[httpx.Response]:
    """Send one operation; yields the answer with its body still to come."""
    headers = {"accept": accept} | ({"authorization": token} if token else {})
    url = f"http://127.0.0.1:{port}/graphql"
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient() as client,
        client.stream("POST", url, json=body, headers=headers) as answer,
    ):
        yield answer


async def sse_blocks(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Yield what a browser would: events with their data; comments as the event ":"."""
    lines: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            lines.append(line)
            continue
        fields = dict(one.partition(":")[::2] for one in lines)
        lines.clear()
        if "event" in fields:
            data = fields["data"].strip()
            yield fields["event"].strip(), json.loads(data) if data else None
        else:
            yield ":", None


async def sse_events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    async for name, data in sse_blocks(answer):
        if name != ":":
            yield name, data


async def multipart_parts(answer: httpx.Response) -> AsyncIterator[Any]:
    """Yield each part once its boundary has come, as Apollo's client does."""
    buffer = ""
    async for text in answer.aiter_text():
        buffer += text
        while "\r\n--graphql" in buffer:
            part, _, buffer = buffer.partition("\r\n--graphql")
            if part:
                head, _, body = part.partition("\r\n\r\n")
                assert head.strip() == "content-type: application/json"
                yield json.loads(body)
    assert buffer == "--\r\n", "the answer must end with its last boundary"


async def test_readings_are_followed_by_server_sent_events(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    now = ctx.clock.now() - timedelta(minutes=1)
    await record(ctx, agent, "temp", [(now, 1.0)])
    api = Api(ctx)
    async with api.server() as port:
        async with asked(port, READINGS, SSE, token) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            events = sse_events(answer)
            name, first = await anext(events)
            assert (name, first["data"]["readings"]["values"]) == ("next", [1.0])
            await record(ctx, agent, "temp", [(now + timedelta(seconds=1), 2.0)])
            _, second = await anext(events)
            assert second["data"]["readings"] == {"metric": "temp", "values": [2.0]}
            assert (api.endpoint.streams.open_count, api.endpoint.live.group_count) == (1, 1)
        await until(lambda: not api.endpoint.live.group_count, "the subscription is closed")
        assert api.endpoint.streams.open_count == 0


async def test_readings_are_followed_in_parts(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    now = ctx.clock.now() - timedelta(minutes=1)
    await record(ctx, agent, "temp", [(now, 1.0)])
    async with (
        Api(ctx).server() as port,
        asked(port, READINGS, MULTIPART, token) as answer,
    ):
        stated = answer.headers["content-type"]
        assert stated == 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
        parts = multipart_parts(answer)
        first = await anext(parts)
        assert first["payload"]["data"]["readings"]["values"] == [1.0]
        await record(ctx, agent, "temp", [(now + timedelta(seconds=1), 2.0)])
        second = await anext(parts)
        assert second["payload"]["data"]["readings"]["values"] == [2.0]


async def test_a_query_is_a_stream_of_one_where_nothing_else_is_accepted(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    query = {"query": "{ me { username } }"}
    async with Api(ctx).server() as port:
        async with asked(port, query, SSE, token) as answer:
            events = [event async for event in sse_events(answer)]
        async with asked(port, query, MULTIPART.partition(",")[0], token) as answer:
            parts = [part async for part in multipart_parts(answer)]
    data = {"me": {"username": user.username}}
    assert [name for name, _ in events] == ["next", "complete"]
    assert events[0][1]["data"] == data
    assert [part["payload"]["data"] for part in parts] == [data]


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { nonsense }", "INVALID_INPUT"),
        ("subscription { readings { metric } }", "UNAUTHENTICATED"),
        ("subscription {", "INVALID_INPUT"),
    ],
)
async def test_what_cannot_start_is_json_with_a_status(
    ctx: Context, accept: str, query: str, code: str
) -> None:
    async with Api(ctx).server() as port, asked(port, {"query": query}, accept) as answer:
        body = json.loads(await answer.aread())
    # Who takes JSON of the old kind, as Apollo's client does, gets its 200.
    refused = {"INVALID_INPUT": 400, "UNAUTHENTICATED": 401}[code]
    assert answer.status_code == (refused if accept == SSE else 200)
    assert answer.headers["content-type"].startswith("application/")
    assert body["errors"][0]["extensions"]["code"] == code
    assert "data" not in body


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_silence_is_filled(ctx: Context, accept: str) -> None:
    _, token = await sign_in(ctx)
    async with (
        Api(ctx, ping_seconds=1).server() as port,
        asked(port, {"query": "subscription { agentChanged { name } }"}, accept, token) as answer,
    ):
        if accept == SSE:
            blocks = sse_blocks(answer)
            assert [await anext(blocks), await anext(blocks)] == [(":", None), (":", None)]
        else:
            assert await anext(multipart_parts(answer)) == {}


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_stream_ends_with_its_token(ctx: Context, accept: str) -> None:
    short_lived = Tokens(TEST_SECRET, ctx.clock, ttl_seconds=2)
    _, token = await sign_in(replace(ctx, tokens=short_lived))
    body = {"query": "subscription { agentChanged { name } }"}
    async with Api(ctx).server() as port, asked(port, body, accept, token) as answer:
        if accept == SSE:
            events = [event async for event in sse_events(answer)]
            assert [name for name, _ in events] == ["next", "complete"]
            (error,) = events[0][1]["errors"]
        else:
            (part,) = [part async for part in multipart_parts(answer)]
            assert part["payload"] is None
            (error,) = part["errors"]
    assert error["extensions"] == {"code": "UNAUTHENTICATED", "expired": True}


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_server_that_stops_ends_its_streams(ctx: Context, accept: str) -> None:
    _, token = await sign_in(ctx)
    api = Api(ctx)
    server = api.server()
    port = await server.__aenter__()
    body = {"query": "subscription { agentChanged { name } }"}
    async with asked(port, body, accept, token) as answer:
        await until(lambda: api.endpoint.live.group_count, "the subscription is open")
        stopping = asyncio.create_task(server.__aexit__(None, None, None))
        if accept == SSE:  # nothing completes it, so that the client comes again
            assert [event async for event in sse_events(answer)] == []
        else:
            (part,) = [part async for part in multipart_parts(answer)]
            assert part["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        await stopping


async def test_a_stream_that_fails_is_in_the_log(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, token = await sign_in(ctx)
    monkeypatch.setattr(Sse, "opening", "no bytes")
    async with Api(ctx).server() as port:
        with pytest.raises(httpx.HTTPError):
            async with asked(port, READINGS, SSE, token) as answer:
                await answer.aread()
    (told,) = [each for each in caplog.records if each.name == "fleetgraph.graphql"]
    assert told.exc_info
    assert told.exc_info[0] is TypeError


async def test_streams_are_limited_in_number(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    body = {"query": "subscription { agentChanged { name } }"}
    async with (
        Api(ctx, sockets_max=1).server() as port,
        asked(port, body, SSE, token) as first,
        asked(port, body, SSE, token) as second,
    ):
        assert first.status_code == 200
        assert second.status_code == 503
        assert second.headers["retry-after"]


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_cut_and_slows_nobody(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    start = ctx.clock.now() - timedelta(hours=2)
    api = Api(ctx, slow_client_seconds=1, client_queue_bytes=4_096)
    body = json.dumps(READINGS).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nHost: fleet.test\r\nContent-Type: application/json\r\n"
        f"Accept: {SSE}\r\nAuthorization: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with api.server() as port:
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sleeper.connect(("127.0.0.1", port))
            sleeper.sendall(head.encode() + body)
            async with asked(port, READINGS, SSE, token) as answer:
                events = sse_events(answer)
                await until(lambda: api.endpoint.streams.open_count == 2, "both follow")
                for batch in range(60):
                    times = [
                        start + timedelta(seconds=batch * 100, milliseconds=n) for n in range(2_000)
                    ]
                    await record(ctx, agent, "temp", [(time, 1.0 + batch) for time in times])
                    name, event = await anext(events)
                    assert name == "next"
                    assert re.match("temp", event["data"]["readings"]["metric"])
                await until(lambda: api.endpoint.streams.open_count == 1, "the sleeper is cut")
            await until(lambda: not api.endpoint.live.group_count, "nobody is left")
