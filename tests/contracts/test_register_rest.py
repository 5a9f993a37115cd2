"""The register over REST: statuses, envelopes and titles that clients read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent


@pytest.fixture
async def client(ctx: Context) -> AsyncIterator[httpx.AsyncClient]:
    """An owner's."""
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        yield client


async def test_agents_are_listed_by_tags_with_or_without_telling_them(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    await make_agent(ctx, name="b", tags={"site": "berlin"})
    await make_agent(ctx, name="a", tags={"site": "berlin"}, location="hall 1")
    await make_agent(ctx, name="c")
    listed = (await client.get("/api/v1/agents", params={"selector": "site=berlin"})).json()
    assert [row["name"] for row in listed["agents"]] == ["a", "b"]
    assert listed["agents"][0]["tags"] == {"site": "berlin"}
    assert listed["agents"][0]["location"] == "hall 1"
    assert listed["agents"][0]["fleet_uuid"] is None
    bare = (await client.get("/api/v1/agents", params={"includeTags": "false"})).json()
    assert bare["count"] == 3
    assert all("tags" not in row for row in bare["agents"])
    back = {"sort": "name", "descending": "true"}
    backwards = (await client.get("/api/v1/agents", params=back)).json()
    assert [row["name"] for row in backwards["agents"]] == ["c", "b", "a"]
    wrong = await client.get("/api/v1/agents", params={"selector": "site ="})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid parameters")
    assert "at character 7: expected a value" in wrong.text


async def test_agents_are_queried_page_by_page(ctx: Context, client: httpx.AsyncClient) -> None:
    for name in "cab":
        await make_agent(ctx, name=name, tags={"site": "berlin"})
    asked = {"selector": "site", "limit": 2}
    first = (await client.post("/api/v1/agents/query", json=asked)).json()
    assert (first["count"], first["total"]) == (2, 3)
    asked["after"] = first["pagination"]["endCursor"]
    last = (await client.post("/api/v1/agents/query", json=asked)).json()
    assert [row["name"] for row in first["agents"] + last["agents"]] == ["a", "b", "c"]
    assert not last["pagination"]["hasNextPage"]


async def test_an_agent_is_renamed_locked_out_and_deleted(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    agent = await make_agent(ctx)
    path = f"/api/v1/agents/{agent.uuid}"
    body = {"deviceName": "press 2", "macAddress": "02:00:5e:00:53:01"}
    device = (await client.patch(path, json=body)).json()["device"]
    assert (device["name"], device["mac_address"]) == ("press 2", "02:00:5e:00:53:01")
    assert device["vpn_enabled"] is False
    assert device["api_key_expires_at"] is None
    assert device["mqtt_username"] is None
    assert (await client.patch(path, json={"deviceName": "x" * 256})).status_code == 400
    locked = await client.patch(f"{path}/active", json={"is_active": False})
    assert locked.json()["device"]["state"] == "inactive"
    assert (await client.patch(f"{path}/active", json={})).status_code == 400
    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for again in (await client.delete(path), await client.get(path)):
        assert (again.status_code, again.json()["error"]) == (404, "Device not found")


async def test_tags_of_an_agent_are_read_merged_replaced_and_removed(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    agent = await make_agent(ctx, tags={"site": "berlin"})
    path = f"/api/v1/agents/{agent.uuid}/tags"

    async def tags() -> dict[str, str]:
        answer: dict[str, str] = (await client.get(path)).json()["tags"]
        return answer

    assert await tags() == {"site": "berlin"}
    assert (await client.post(path, json={"tags": {"line": "a"}})).status_code == 200
    assert await tags() == {"site": "berlin", "line": "a"}
    assert (await client.delete(f"{path}/site")).json()["tags"] == {"line": "a"}
    assert (await client.delete(f"{path}/site")).status_code == 404
    await client.put(path, json={"tags": {"env": "prod"}})
    assert await tags() == {"env": "prod"}
    for tags_ in ({"ENV": "x"}, {"env": 1}, ["env"]):
        wrong = await client.put(path, json={"tags": tags_})
        assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid tags")


async def test_tags_of_many_agents_are_changed_at_once(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    agents = [await make_agent(ctx, tags={"site": "berlin"}) for _ in range(3)]
    await make_agent(ctx)
    body = {"selector": "site=berlin", "set": {"ring": "1"}, "remove": ["site"]}
    dry = (await client.post("/api/v1/agents/tags/bulk", json={**body, "dry_run": True})).json()
    assert (dry["matched"], dry["changed"]) == (3, 3)
    done = (await client.post("/api/v1/agents/tags/bulk", json=body)).json()
    assert set(done["agent_uuids"]) == {str(agent.uuid) for agent in agents}
    keys = (await client.get("/api/v1/tags/keys")).json()
    assert keys == {"count": 1, "keys": [{"key": "ring", "agents": 3}]}
    values = (await client.get("/api/v1/tags/values/ring")).json()
    assert values == {"count": 1, "values": [{"value": "1", "agents": 3}]}
    nothing = await client.post("/api/v1/agents/tags/bulk", json={"set": {"ring": "1"}})
    assert nothing.status_code == 400


class TestFleets:
    async def test_are_made_read_changed_and_deleted(
        self, ctx: Context, client: httpx.AsyncClient
    ) -> None:
        body = {"fleet_name": "presses", "tags": {"site": "berlin"}, "billing_enabled": False}
        made = await client.post("/api/v1/fleets", json=body)
        assert made.status_code == 201
        row = made.json()
        assert row["fleet_type"] == "physical"
        assert row["status"] == "active"
        unbilled = ("customer_id", "billing_enabled", "current_cost", "budget_limit")
        assert [row[name] for name in unbilled] == [None, False, 0, None]
        path = f"/api/v1/fleets/{row['fleet_uuid']}"
        await make_agent(ctx, fleet_id=row["fleet_uuid"], is_online=True, name="press-01")
        listed = (await client.get("/api/v1/fleets", params={"fleet_type": "physical"})).json()
        (found,) = listed["fleets"]
        assert (listed["total"], found["device_count"], found["online_count"]) == (1, 1, 1)
        full = (await client.get(path)).json()
        assert full["stats"]["total_devices"] == 1
        assert [agent["name"] for agent in full["agents"]] == ["press-01"]
        changed = await client.put(path, json={"location": "hall 1"}, headers={"If-Match": '"1"'})
        assert changed.json() == {
            **row,
            "location": "hall 1",
            "version": 2,
            "updated_at": changed.json()["updated_at"],
        }
        stale = await client.patch(path, json={"location": "x"}, headers={"If-Match": '"1"'})
        assert stale.status_code == 412
        gone = (await client.delete(path)).json()
        assert gone.pop("message")
        assert gone == {
            "fleet_uuid": row["fleet_uuid"],
            "status": "deleted",
            "k8s_namespace_deleted": False,
        }

    async def test_what_there_is_not_is_404_with_its_id(self, client: httpx.AsyncClient) -> None:
        nowhere = uuid4()
        path = f"/api/v1/fleets/{nowhere}"
        for answer in (
            await client.get(path),
            await client.put(path, json={"location": "x"}),
            await client.delete(path),
            await client.post(f"{path}/agents", json={"agent_uuid": str(uuid4())}),
            await client.delete(f"{path}/agents/{uuid4()}"),
        ):
            assert answer.status_code == 404
            assert answer.json()["error"] == "Fleet not found"
            assert answer.json()["id"] == str(nowhere)

    async def test_a_taken_name_is_409(self, client: httpx.AsyncClient) -> None:
        await client.post("/api/v1/fleets", json={"fleet_name": "presses"})
        again = await client.post("/api/v1/fleets", json={"fleet_name": "Presses"})
        assert (again.status_code, again.json()["error"]) == (409, "Fleet already exists")

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({}, "fleet_name"),
            ({"fleet_name": " "}, "name"),
            ({"fleet_name": "x", "fleet_type": "huge"}, "fleet_type"),
            ({"fleet_name": "x", "fleet_type": "virtual", "agent_count": 5}, "agent"),
            ({"fleet_name": "x", "agents_per_agent": 5}, "agents"),
            ({"fleet_name": "x", "billing_enabled": True}, "billing"),
            ({"fleet_name": "x", "billing_mode": "hourly"}, "billing"),
            ({"fleet_name": "x", "budget_limit": 10}, "budget"),
            ({"fleet_name": "x", "customer_id": "c"}, "customer"),
        ],
    )
    async def test_what_is_wrong_or_not_supported_is_named(
        self, client: httpx.AsyncClient, body: dict[str, object], named: str
    ) -> None:
        wrong = await client.post("/api/v1/fleets", json=body)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "Invalid request")
        assert named in wrong.text

    async def test_members_join_and_leave(self, ctx: Context, client: httpx.AsyncClient) -> None:
        fleet = (await client.post("/api/v1/fleets", json={"fleet_name": "presses"})).json()
        one, two = await make_agent(ctx), await make_agent(ctx)
        path, nobody = f"/api/v1/fleets/{fleet['fleet_uuid']}/agents", str(uuid4())
        first = (await client.post(path, json={"agent_uuid": str(one.uuid)})).json()
        assert first == {
            "fleet_uuid": fleet["fleet_uuid"],
            "added": [str(one.uuid)],
            "already_member": [],
            "elsewhere": [],
            "not_found": [],
        }
        body = {"agent_uuids": [str(one.uuid), str(two.uuid), nobody]}
        then = (await client.post(path, json=body)).json()
        assert then["added"] == [str(two.uuid)]
        assert then["already_member"] == [str(one.uuid)]
        assert then["not_found"] == [nobody]
        left = (await client.delete(f"{path}/{one.uuid}")).json()
        assert left == {"fleet_uuid": fleet["fleet_uuid"], "removed": [str(one.uuid)]}
        assert await Agent.of(ctx.tenant_id, fleet_id=fleet["fleet_uuid"]).count() == 1
        assert (await client.post(path, json={})).status_code == 400
