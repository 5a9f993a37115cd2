"""What callers over their limit are told, by REST, GraphQL and WebSocket alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.context import Context
from core.rate_limits import RateScope
from fleetgraph.limits import CallLimiter, MemoryWindows
from tests.contracts.serving import Api, give_key, sign_in
from tests.contracts.talking import closed, connected, receive, subscribe
from tests.factories import make_agent

ME = {"query": "{ me { username } }"}
GRAPHQL = "application/graphql-response+json"
LOGIN = 'mutation($u: String!) { login(username: $u, password: "wrong") { accessToken } }'
SPELLINGS = ("RateLimit", "X-RateLimit")


def limited(ctx: Context, **per_minute: int) -> Context:
    """The context with limits: `global_`, `auth`, `device`, `admin`; others are out of reach."""
    limits = dict.fromkeys(RateScope, 1_000)
    limits |= {RateScope(name.rstrip("_")): limit for name, limit in per_minute.items()}
    return replace(ctx, limits=CallLimiter(MemoryWindows(), limits))


def remaining(answer: httpx.Response) -> int:
    """What both spellings of the headers say is left."""
    told = {
        tuple(int(answer.headers[f"{start}-{name}"]) for name in ("Limit", "Remaining", "Reset"))
        for start in SPELLINGS
    }
    ((_, left, seconds),) = told
    assert 1 <= seconds <= 60
    return left


def check_refusal(answer: httpx.Response) -> None:
    assert answer.status_code == 429
    assert remaining(answer) == 0
    assert answer.headers["retry-after"] == answer.headers["ratelimit-reset"]


# REST ---------------------------------------------------------------------------------------


async def test_rest_counts_down_and_refuses_in_the_older_shape(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(limited(ctx, global_=2)).client(authorization=token) as client:
        answers = [await client.get("/api/v1/auth/me") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [remaining(answer) for answer in answers] == [1, 0, 0]
    check_refusal(answers[2])
    body = answers[2].json()
    assert body["error"] == "Too many requests"
    assert body["message"]
    assert body["retryAfter"] in {"1 minute", *(f"{n} seconds" for n in range(60))}
    assert body["facts"]["scope"] == "global"


async def test_people_are_counted_each_and_nobody_by_address(ctx: Context) -> None:
    api = Api(limited(ctx, global_=1))
    tokens = [(await sign_in(ctx))[1] for _ in range(2)]
    async with api.client() as client:
        for token in tokens:
            me = await client.get("/api/v1/auth/me", headers={"authorization": token})
            assert me.status_code == 200
        bad = {"authorization": "Bearer made.up.token"}
        first = await client.get("/api/v1/auth/me", headers=bad)
        again = await client.get("/api/v1/auth/me", headers=bad | {"x-request-id": "2"})
        graphql = await client.post("/graphql", json=ME, headers=bad)
    assert first.status_code == 401
    check_refusal(again)
    check_refusal(graphql)


async def test_a_limit_of_a_use_case_is_told_alike_by_rest_and_graphql(ctx: Context) -> None:
    async with Api(limited(ctx, auth=3)).client() as client:
        body = {"username": "jane", "password": "wrong"}
        rest = await client.post("/api/v1/auth/login", json=body)
        assert rest.status_code == 401
        assert rest.headers["ratelimit-limit"] == "1000"
        operation = {"query": LOGIN, "variables": {"u": "jane"}}
        graphql = await client.post("/graphql", json=operation)
        assert graphql.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        await client.post("/api/v1/auth/login", json=body)
        rest = await client.post("/api/v1/auth/login", json=body)
        graphql = await client.post("/graphql", json=operation)
    check_refusal(rest)
    assert rest.headers["ratelimit-limit"] == "3"
    assert graphql.status_code == 200, "the operation ran, a field of it failed"
    assert graphql.headers["retry-after"] == graphql.headers["x-ratelimit-reset"]
    assert graphql.headers["ratelimit-limit"] == "3"
    assert remaining(graphql) == 0
    extensions = graphql.json()["errors"][0]["extensions"]
    assert (extensions["code"], extensions["scope"]) == ("RATE_LIMITED", "auth")


async def test_an_account_over_its_limit_looks_the_same_whether_it_exists(ctx: Context) -> None:
    user, _ = await sign_in(ctx)

    async def attempts(name: str) -> list[tuple[int, dict[str, Any], set[str]]]:
        seen = []
        async with Api(limited(ctx, auth=2)).client() as client:
            for _ in range(4):
                body = {"username": name, "password": "wrong"}
                answer = await client.post("/api/v1/auth/login", json=body)
                told = answer.json() | {"requestId": None}
                seen.append((answer.status_code, told, set(answer.headers)))
        return seen

    assert await attempts(user.username) == await attempts("no-such-person")


async def test_those_who_manage_have_a_limit_of_their_own(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(limited(ctx, admin=1)).client(authorization=token) as client:
        query = {"query": "{ apiKeys { totalCount } }"}
        first, second, me = [
            await client.post("/graphql", json=operation) for operation in (query, query, ME)
        ]
    assert "errors" not in first.json()
    assert first.headers["ratelimit-limit"] == "1000"
    assert second.json()["errors"][0]["extensions"]["scope"] == "admin"
    assert second.headers["ratelimit-limit"] == "1"
    assert "errors" not in me.json()


# Agents -------------------------------------------------------------------------------------


async def agent_over_its_limit(ctx: Context, api: Api) -> tuple[str, dict[str, str]]:
    """A path of polls and the credential of an agent that has no call left."""
    agent = await make_agent(ctx)
    own = {"x-device-api-key": await give_key(ctx, agent)}
    path = f"/api/v1/device/{agent.uuid}/state"
    async with api.client() as client:
        for _ in range(2):
            answer = await client.get(path, headers=own)
            assert answer.status_code == 200
        assert remaining(answer) == 0
        own["if-none-match"] = answer.headers["etag"]
    return path, own


async def test_a_poll_over_the_limit_changes_nothing_and_is_no_error(ctx: Context) -> None:
    api = Api(limited(ctx, device=2))
    path, own = await agent_over_its_limit(ctx, api)
    async with api.client() as client:
        poll = await client.get(path, headers=own | {"if-none-match": '"of-long-ago"'})
    assert (poll.status_code, poll.content) == (304, b"")
    assert remaining(poll) == 0


async def test_a_poll_of_an_agent_that_has_nothing_yet_is_answered(ctx: Context) -> None:
    api = Api(limited(ctx, device=2))
    path, own = await agent_over_its_limit(ctx, api)
    async with api.client() as client:
        poll = await client.get(path, headers={"x-device-api-key": own["x-device-api-key"]})
    assert poll.status_code == 200
    assert poll.json()
    assert remaining(poll) == 0


async def test_a_report_over_the_limit_is_accepted_and_done_later(ctx: Context) -> None:
    api = Api(limited(ctx, device=2))
    path, own = await agent_over_its_limit(ctx, api)
    uuid = path.split("/")[4]
    async with api.client() as client:
        report = {uuid: {"apps": {}, "version": 7}}
        answer = await client.patch("/api/v1/device/state", json=report, headers=own)
    assert (answer.status_code, remaining(answer)) == (202, 0)
    (deferred,) = api.deferred
    await deferred.run_again()
    assert len(api.deferred) == 1, "it is not counted again"


async def test_a_log_upload_over_the_limit_is_refused(ctx: Context) -> None:
    api = Api(limited(ctx, device=2))
    path, own = await agent_over_its_limit(ctx, api)
    async with api.client() as client:
        logs = path.replace("/state", "/logs")
        check_refusal(await client.post(logs, json=[], headers=own))


async def test_nobody_known_is_spared_nor_fills_the_spool(ctx: Context) -> None:
    api = Api(limited(ctx, global_=1))
    made_up = {"x-device-api-key": "v2_9f01ab23_" + "0" * 64, "if-none-match": '"1"'}
    async with api.client() as client:
        path = f"/api/v1/device/{ctx.ids.uuid()}/state"
        assert (await client.get(path, headers=made_up)).status_code == 401
        check_refusal(await client.get(path, headers=made_up))
        report: dict[str, object] = {}
        check_refusal(await client.patch("/api/v1/device/state", json=report, headers=made_up))
    assert not api.deferred


async def test_agents_are_not_counted_with_people_nor_behind_one_address(ctx: Context) -> None:
    api = Api(limited(ctx, global_=1, device=2))
    for _ in range(2):
        await agent_over_its_limit(ctx, api)


# GraphQL over HTTP --------------------------------------------------------------------------


async def test_graphql_counts_down_and_refuses_before_anything_runs(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(limited(ctx, global_=2)).client(authorization=token, accept=GRAPHQL) as client:
        answers = [await client.post("/graphql", json=ME) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [remaining(answer) for answer in answers] == [1, 0, 0]
    check_refusal(answers[2])
    body = answers[2].json()
    assert "data" not in body
    assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_each_operation_of_a_batch_counts(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    api = Api(limited(ctx, global_=5), batch_max=4)
    async with api.client(authorization=token) as client:
        first = await client.post("/graphql", json=[ME] * 3)
        second = await client.post("/graphql", json=[ME] * 3)
    assert (len(first.json()), remaining(first)) == (3, 2)
    check_refusal(second)


# WebSocket ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_socket_is_counted_when_it_opens_and_for_what_it_asks(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(limited(ctx, global_=3)).server() as port, asyncio.timeout(20):
        async with connected(port, {"authorization": token}) as socket:
            assert (await receive(socket))["type"] == "connection_ack"
            for id_ in ("1", "2"):
                await subscribe(socket, id_, "{ me { username } }")
                assert (await receive(socket))["type"] == "next"
                assert (await receive(socket))["type"] == "complete"
            await subscribe(socket, "3", "{ me { username } }")
            refusal = await receive(socket)
            assert (refusal["type"], refusal["id"]) == ("error", "3")
            (error,) = refusal["payload"]
            assert error["extensions"]["code"] == "RATE_LIMITED"
            assert error["extensions"]["retry_after_seconds"]
        async with connected(port, {"authorization": token}) as socket:
            code, reason = await closed(socket)
    assert code == 1013
    assert "Too many calls" in (reason or "")


@pytest.mark.slow
async def test_sockets_with_bad_credentials_count_for_their_address(ctx: Context) -> None:
    async with Api(limited(ctx, global_=1)).server() as port, asyncio.timeout(20):
        for expected in (4403, 1013):
            async with connected(port, {"authorization": "Bearer made.up"}) as socket:
                code, _ = await closed(socket)
                assert code == expected
