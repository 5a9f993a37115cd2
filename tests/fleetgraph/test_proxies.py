"""Whose word counts for where a request comes from."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from fleetgraph.server import behind_proxies
from tests.fleetgraph.graphql.wired import serving

pytestmark = pytest.mark.slow

HERE = "127.0.0.1"


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer who calls, as the application sees it."""
    told = json.dumps([scope["client"][0], scope["scheme"]])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


async def seen(trusted: list[str], forwarded: str | list[str], proto: str = "https") -> Any:
    """Who calls, by HTTP and by WebSocket, when X-Forwarded-For comes over the loopback."""
    values = [forwarded] if isinstance(forwarded, str) else forwarded
    headers = [("x-forwarded-for", value) for value in values] + [("x-forwarded-proto", proto)]
    async with serving(tell, **behind_proxies(trusted)) as (port, _):
        async with httpx.AsyncClient() as client:
            by_http = (await client.get(f"http://{HERE}:{port}/", headers=headers)).json()
        async with connect(f"ws://{HERE}:{port}/", additional_headers=headers) as socket:
            by_socket = json.loads(await socket.recv())
    assert by_socket == [by_http[0], by_http[1].replace("http", "ws")]
    return by_http


async def test_without_the_setting_nobody_chooses_an_address() -> None:
    assert await seen([], "203.0.113.9") == [HERE, "http"]


async def test_nobody_outside_the_list_chooses_an_address() -> None:
    assert await seen(["10.0.0.0/8", "192.0.2.1"], "203.0.113.9") == [HERE, "http"]


@pytest.mark.parametrize("trusted", [[HERE], ["127.0.0.0/8"]])
async def test_a_listed_proxy_tells_address_and_scheme(trusted: list[str]) -> None:
    assert await seen(trusted, "203.0.113.9") == ["203.0.113.9", "https"]


@pytest.mark.parametrize(
    "forwarded",
    ["198.51.100.1, 203.0.113.9, 10.0.0.7", ["198.51.100.1", "203.0.113.9, 10.0.0.7"]],
)
async def test_of_several_the_last_that_is_not_trusted_counts(forwarded: str | list[str]) -> None:
    found = await seen([HERE, "10.0.0.0/8"], forwarded)
    assert found[0] == "203.0.113.9", "what the client itself sent stands before it"


async def test_a_scheme_that_is_none_changes_nothing() -> None:
    assert await seen([HERE], "203.0.113.9", proto="javascript") == ["203.0.113.9", "http"]
