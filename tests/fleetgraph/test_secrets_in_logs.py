"""Credentials come in headers and bodies alone, and never out in a log."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from io import StringIO

import httpx
import pytest
import structlog
from websockets.asyncio.client import connect

from core.context import Context
from fleetgraph.logs import set_up_logging
from tests.contracts.serving import give_key, sign_in
from tests.contracts.talking import PROTOCOL, receive, subscribe
from tests.factories import make_agent
from tests.fleetgraph.applications import app_of
from tests.fleetgraph.graphql.wired import serving


@pytest.fixture
def program_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Standard error with the program's own logging at its most talkative."""
    root = logging.getLogger()
    names = ("uvicorn.error", "uvicorn.access", "httpx", "httpcore", "tortoise", "asyncio")
    before = root.handlers[:], root.level, [logging.getLogger(name).level for name in names]
    written = StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    set_up_logging("debug", "json")
    logging.getLogger("websockets.client").setLevel(logging.WARNING)  # the client is the test
    yield written
    root.handlers[:], root.level = before[0], before[1]
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    logging.getLogger("websockets.client").setLevel(logging.NOTSET)
    structlog.reset_defaults()


async def test_no_log_line_holds_a_secret(ctx: Context, program_logs: StringIO) -> None:
    user, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    key = await give_key(ctx, agent)
    bad_token, bad_key = "Bearer made.up-s3cret.token", "v2_9f01ab23_" + "5ec7e7" * 10
    password = "correct horse battery"
    secrets = [token, bad_token, key, bad_key, password, "hunter2-wr0ng", "in-the-query"]
    query = {"access_token": "in-the-query", "token": token, "password": "in-the-query"}
    login = "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { expiresAt } }"
    transport = httpx.ASGITransport(app_of(ctx), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet.test") as client:
        for headers in (
            {"authorization": token},
            {"authorization": bad_token},
            {"x-device-api-key": key},
            {"x-device-api-key": bad_key},
            {"authorization": f"Bearer {key}"},
        ):
            for path in ("/api/v1/auth/me", f"/api/v1/device/{agent.uuid}/state", "/none"):
                await client.get(path, headers=headers, params=query)
            await client.patch("/api/v1/device/state", json={"x": bad_key}, headers=headers)
            body = {"query": "{ me { username } }", "variables": {"p": "hunter2-wr0ng"}}
            await client.post("/graphql", json=body, headers=headers, params=query)
        for tried in (password, "hunter2-wr0ng"):
            credentials = {"username": user.username, "password": tried}
            await client.post("/api/v1/auth/login", json=credentials)
            await client.post("/api/v1/auth/login", content=f'{{"password":"{tried}"')
            variables = {"u": user.username, "p": tried}
            await client.post("/graphql", json={"query": login, "variables": variables})
    told = program_logs.getvalue()
    assert "GET /api/v1/auth/me answered 200" in told
    for secret in secrets:
        bare = secret.removeprefix("Bearer ")
        assert bare not in told, f"{bare[:12]}… is in the log"


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "x-device-api-key"])
async def test_no_face_takes_a_credential_from_the_address(ctx: Context, name: str) -> None:
    _, token = await sign_in(ctx)
    transport = httpx.ASGITransport(app_of(ctx))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet.test") as client:
        for value in (token, token.removeprefix("Bearer ")):
            query = {name: value}
            rest = await client.get("/api/v1/auth/me", params=query)
            assert rest.status_code == 401
            body = {"query": "{ me { username } }"}
            graphql = await client.post("/graphql", json=body, params=query)
            assert graphql.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.slow
async def test_a_socket_takes_no_credential_from_the_address_nor_logs_it(
    ctx: Context, program_logs: StringIO
) -> None:
    _, token = await sign_in(ctx)
    bare = token.removeprefix("Bearer ")
    async with serving(app_of(ctx)) as (port, _), asyncio.timeout(20):
        url = f"ws://127.0.0.1:{port}/graphql?jwt={bare}&token={bare}&authorization={bare}"
        async with connect(url, subprotocols=[PROTOCOL]) as socket:
            await socket.send('{"type": "connection_init"}')
            assert (await receive(socket))["type"] == "connection_ack"
            await subscribe(socket, "1", "{ me { username } }")
            answer = await receive(socket)
            while answer["type"] == "ping":
                answer = await receive(socket)
            await subscribe(socket, "2", "query {")
            await receive(socket)
    assert "UNAUTHENTICATED" in json.dumps(answer)
    assert bare not in program_logs.getvalue()
