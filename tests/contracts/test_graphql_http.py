from __future__ import annotations

from datetime import timedelta

import pytest

from core.context import Context
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent
from tests.schema.asking import record

ME = {"query": "{ me { username } }"}


async def test_a_token_in_the_header_signs_in(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.post("/graphql", json=ME)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"me": {"username": user.username}}


async def test_without_a_token_one_may_log_in_and_nothing_else(ctx: Context) -> None:
    user, _ = await sign_in(ctx)
    login = (
        "mutation($u: String!, $p: String!) { login(username: $u, password: $p) { accessToken } }"
    )
    async with Api(ctx).client() as client:
        refused = (await client.post("/graphql", json=ME)).json()
        variables = {"u": user.username, "p": "correct horse battery"}
        answer = await client.post("/graphql", json={"query": login, "variables": variables})
        token = answer.json()["data"]["login"]["accessToken"]
        me = await client.post("/graphql", json=ME, headers={"authorization": f"Bearer {token}"})
    assert refused["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert me.json()["data"]["me"]["username"] == user.username


async def test_a_token_that_does_not_hold_is_never_ignored(ctx: Context) -> None:
    async with Api(ctx).client(authorization="Bearer made.up.token") as client:
        answer = await client.post("/graphql", json={"query": "{ __typename }"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_database_that_is_away_is_said_so(ctx: Context) -> None:
    api = Api(ctx)
    api.is_down = True
    async with api.client() as client:
        answer = await client.post("/graphql", json=ME)
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "part": "database"}


@pytest.mark.parametrize(
    ("accept", "media_type"), [("text/html", "text/html"), ("*/*", "application/json")]
)
async def test_a_browser_gets_a_hint(ctx: Context, accept: str, media_type: str) -> None:
    async with Api(ctx).client(accept=accept) as client:
        answer = await client.get("/graphql")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)
    assert "POST" in answer.text


async def test_operations_do_not_come_by_get(ctx: Context) -> None:
    async with Api(ctx).client() as client:
        answer = await client.get("/graphql", params={"query": "{ __typename }"})
        post = await client.post("/graphql", json={"query": "{ __typename }"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert post.json()["data"] == {"__typename": "Query"}


async def test_json_has_no_nan(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    time = ctx.clock.now() - timedelta(minutes=1)
    await record(ctx, agent, "temp", [(time, float("nan")), (time + timedelta(seconds=1), 1.0)])
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.post(
            "/graphql", json={"query": "{ series(select: {}) { values points { value } } }"}
        )
    (series,) = answer.json()["data"]["series"]
    assert series == {"values": [None, 1.0], "points": [{"value": None}, {"value": 1.0}]}


async def test_refuses_bodies_that_are_no_request(ctx: Context) -> None:
    async with Api(ctx).client() as client:
        broken = await client.post(
            "/graphql", content=b"{", headers={"content-type": "application/json"}
        )
        empty = await client.post("/graphql", json={})
    assert broken.status_code == empty.status_code == 400
