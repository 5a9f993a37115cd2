"""Drift of brokers over REST."""

from __future__ import annotations

import httpx

from core.broker_drift import Drift, DriftKind
from core.callers import Role
from core.context import Context
from models.broker_drift import add_drifts, lock_copy
from tests.contracts.serving import Api, sign_in


async def test_drift_is_listed_page_by_page(ctx: Context) -> None:
    now = ctx.clock.now()
    for number in range(3):
        found = Drift(DriftKind.PASSWORD_DIFFERS, f"T/a/{number}")
        await add_drifts(ctx.tenant_id, [found], ctx.clock.now(), now if number else None)
    await lock_copy(str(ctx.ids.uuid()), now)
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.get("/api/v1/mqtt/drift", params={"limit": 2})
        body = answer.json()
        assert (answer.status_code, body["success"]) == (200, True)
        assert (body["count"], body["total"]) == (2, 3)
        assert body["checked_at"] is not None
        assert [row["subject"] for row in body["drift"]] == ["T/a/2", "T/a/1"]
        assert {row["kind"] for row in body["drift"]} == {"password_differs"}
        last = (await client.get(answer.links["next"]["url"])).json()
        assert [row["subject"] for row in last["drift"]] == ["T/a/0"]
        assert last["drift"][0]["repaired_at"] is None
        wrong = await client.get("/api/v1/mqtt/drift", params={"after": "what"})
        assert wrong.status_code == 400


async def test_drift_is_not_for_viewers(ctx: Context) -> None:
    async def status(role: Role) -> int:
        _, token = await sign_in(ctx, role=role)
        async with Api(ctx).client(authorization=token) as client:
            answer: httpx.Response = await client.get("/api/v1/mqtt/drift")
            return answer.status_code

    assert await status(Role.VIEWER) == 403
    assert await status(Role.OPERATOR) == 200
