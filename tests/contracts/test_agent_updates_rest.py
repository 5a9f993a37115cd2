"""Updates of agents over REST: statuses, envelopes and titles that clients read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from core.callers import Role
from core.context import Context
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent


@pytest.fixture
async def client(ctx: Context) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's."""
    _, token = await sign_in(ctx, role=Role.OPERATOR)
    async with Api(ctx).client(authorization=token) as client:
        yield client


@pytest.mark.parametrize("path", ["update", "update-agent"])
async def test_an_agent_is_told_once_and_the_update_called_off(
    ctx: Context, client: httpx.AsyncClient, path: str
) -> None:
    agent = await make_agent(ctx, agent_version="1.0.547")
    base = f"/api/v1/agents/{agent.uuid}"
    told = await client.post(f"{base}/{path}", json={"version": "1.0.600"})
    assert told.status_code == 202
    assert told.json()["status"] == "ok"
    update = told.json()["update"]
    assert (update["state"], update["from_version"]) == ("pending", "1.0.547")
    again = await client.post(f"{base}/{path}", json={"version": "1.0.601"})
    assert (again.status_code, again.json()["error"]) == (409, "Update not possible")
    assert again.json()["update_id"] == update["id"]
    listed = (await client.get(f"{base}/updates")).json()
    assert [row["id"] for row in listed["updates"]] == [update["id"]]
    assert (listed["total"], listed["pagination"]["hasNextPage"]) == (1, False)
    gone = await client.post(f"{base}/updates/{update['id']}/cancel")
    assert (gone.status_code, gone.json()["update"]["state"]) == (200, "cancelled")
    over = await client.post(f"{base}/updates/{update['id']}/cancel")
    assert (over.status_code, over.json()["error"]) == (409, "Nothing to cancel")


async def test_what_cannot_be_is_refused_by_name(ctx: Context, client: httpx.AsyncClient) -> None:
    agent = await make_agent(ctx)
    base = f"/api/v1/agents/{agent.uuid}"
    wrong = await client.post(f"{base}/update", json={"version": "newest"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid request")
    stranger = f"/api/v1/agents/{uuid4()}"
    nobody = await client.post(f"{stranger}/update", json={"version": "1.0.600"})
    assert (nobody.status_code, nobody.json()["error"]) == (404, "Agent not found")
    assert (await client.get(f"{stranger}/updates")).status_code == 404
    unknown = await client.post(f"{base}/updates/{uuid4()}/cancel")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "Update not found")


async def test_who_only_reads_cannot_update(ctx: Context) -> None:
    agent = await make_agent(ctx)
    _, token = await sign_in(ctx, role=Role.VIEWER)
    async with Api(ctx).client(authorization=token) as client:
        base = f"/api/v1/agents/{agent.uuid}"
        assert (await client.post(f"{base}/update", json={"version": "1.0.1"})).status_code == 403
        assert (await client.get(f"{base}/updates")).status_code == 200
