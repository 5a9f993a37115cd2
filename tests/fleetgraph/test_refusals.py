"""Refused calls over the whole application: what the audit log tells of them, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from core import metrics
from core.callers import Caller
from core.context import Context
from core.errors import ErrorCode
from fleetgraph import refusals
from fleetgraph.graphql.codes import CloseCode
from fleetgraph.refusals import Refusals, RefusedCall
from models.connection import fetch
from tests.contracts.serving import Api, sign_in
from tests.contracts.talking import closed, connected
from tests.factories import make_tenant
from tests.fleetgraph.applications import app_of


@pytest.fixture
def app(ctx: Context) -> Starlette:
    return app_of(ctx)


@asynccontextmanager
async def client_of(app: Starlette, address: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet.test") as client:
        yield client


async def rows(address: str) -> list[dict[str, Any]]:
    return await fetch(
        "select *, details->>'operation' as operation, (details->>'count')::int as count"
        " from audit_event where ip_address = $1 order by id",
        address,
    )


async def test_refusals_of_both_faces_are_recorded_alike_once_a_minute_with_their_number(
    ctx: Context, app: Starlette
) -> None:
    user, token = await sign_in(ctx, role="viewer")
    address = f"192.0.2.{ctx.tenant_id % 250}-{ctx.tenant_id}"
    body = {"query": 'mutation { createProvisioningKey(description: "x") { id } }'}
    async with client_of(app, address) as client:
        for _ in range(3):
            answer = await client.post("/graphql", json=body, headers={"authorization": token})
            assert "FORBIDDEN" in answer.text
        answer = await client.post(
            "/api/v1/provisioning-keys",
            json={},
            headers={"authorization": token, "user-agent": "curl"},
        )
        assert answer.status_code == 403
    assert await rows(address) == []
    await app.state.refusals.flush()
    (row,) = await rows(address)
    assert row["event_type"] == "unauthorized_access"
    assert row["operation"] == "Mutation.createProvisioningKey"
    assert row["count"] == 4
    assert (row["tenant_id"], row["user_id"]) == (ctx.tenant_id, user.id)
    await app.state.refusals.flush()
    assert len(await rows(address)) == 1


async def test_credentials_that_do_not_hold_are_recorded_on_both_faces(
    ctx: Context, app: Starlette
) -> None:
    address = f"keys-{ctx.tenant_id}"
    async with client_of(app, address) as client:
        for headers in ({"authorization": "Bearer x.y.z"}, {"x-device-api-key": "v2_wrong"}):
            assert (await client.get("/api/v1/agents", headers=headers)).status_code == 401
            answer = await client.post("/graphql", json={"query": "{ me { id } }"}, headers=headers)
            assert "UNAUTHENTICATED" in answer.text
    await app.state.refusals.flush()
    found = [(row["event_type"], row["operation"], row["count"]) for row in await rows(address)]
    assert found == [
        ("authentication_failed", "GET /api/v1/agents", 2),
        ("authentication_failed", "graphql", 2),
    ]


async def test_a_socket_that_is_not_let_in_is_recorded(ctx: Context) -> None:
    api = Api(ctx)
    noted = Refusals(api.context, ctx.clock)
    object.__setattr__(api.endpoint.edge, "on_refused", noted.note_error)
    agent = f"socket-{ctx.tenant_id}"
    async with api.server() as port:
        introduced: dict[str, object] = {"authorization": "Bearer x.y.z"}
        async with connected(port, introduced, **{"user-agent": agent}) as socket:
            code, _ = await closed(socket)
        assert code == CloseCode.FORBIDDEN
    await noted.flush()
    found = await fetch(
        "select event_type, details->>'operation' as operation from audit_event"
        " where user_agent = $1",
        agent,
    )
    assert [(row["event_type"], row["operation"]) for row in found] == [
        ("authentication_failed", "graphql socket")
    ]


async def test_a_failed_login_leaves_no_second_row(ctx: Context, app: Starlette) -> None:
    address = f"login-{ctx.tenant_id}"
    body = {"username": "nobody", "password": "wrong wrong wrong"}
    async with client_of(app, address) as client:
        assert (await client.post("/api/v1/auth/login", json=body)).status_code == 401
    await app.state.refusals.flush()
    assert "authentication_failed" not in [row["event_type"] for row in await rows(address)]


async def test_a_flood_costs_a_bounded_number_of_rows(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "KINDS_MAX", 3)
    noted = Refusals(lambda caller, *_: ctx.acting_as(caller), ctx.clock)
    before = metrics.REFUSALS_DROPPED._value.get()
    caller = Caller(ctx.caller.role, ctx.tenant_id, user_id=ctx.ids.uuid())
    for at in range(10):
        for _ in range(2):
            call = RefusedCall(caller, f"address {at}", "Query.agents")
            noted.note(call, ErrorCode.FORBIDDEN, "no")
    assert metrics.REFUSALS_DROPPED._value.get() - before == 14
    await noted.flush()
    found = await fetch(
        "select count(*) as n, sum((details->>'count')::int) as refused"
        " from audit_event where tenant_id = $1",
        ctx.tenant_id,
    )
    assert (found[0]["n"], found[0]["refused"]) == (3, 6)


async def test_a_flood_of_one_tenant_hides_nothing_from_another(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "KINDS_MAX", 3)
    noted = Refusals(lambda caller, *_: ctx.acting_as(caller), ctx.clock)
    other = Caller(
        ctx.caller.role, (await make_tenant(ctx.clock, ctx.ids)).id, user_id=ctx.ids.uuid()
    )
    for at in range(10):
        noted.note(RefusedCall(other, f"address {at}", "q"), ErrorCode.FORBIDDEN, "no")
    mine = Caller(ctx.caller.role, ctx.tenant_id, user_id=ctx.ids.uuid())
    noted.note(RefusedCall(mine, "198.51.100.77", "q"), ErrorCode.FORBIDDEN, "no")
    await noted.flush()
    assert await fetch("select 1 from audit_event where user_id = $1", mine.user_id)


async def test_other_errors_are_no_refusals(ctx: Context, app: Starlette) -> None:
    _, token = await sign_in(ctx, role="owner")
    address = f"other-{ctx.tenant_id}"
    async with client_of(app, address) as client:
        headers = {"authorization": token}
        await client.get(f"/api/v1/agents/{ctx.ids.uuid()}", headers=headers)
        await client.post("/graphql", json={"query": "{ nothing }"}, headers=headers)
    await app.state.refusals.flush()
    assert await rows(address) == []
