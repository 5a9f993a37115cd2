"""Keys of agents over REST: what agents and operators' tools are answered."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from core.context import Context
from models.agents import Agent
from tests.contracts.serving import Api, give_key, sign_in
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import Edge, register

FAMILIES = ("provision/keys", "provisioning-keys")


async def test_an_agent_rotates_its_key_and_takes_the_new_one_up_by_a_ping(ctx: Context) -> None:
    agent = await make_agent(ctx)
    key = await give_key(ctx, agent)
    device = f"/api/v1/device/{agent.uuid}"
    api = Api(ctx)
    async with api.client(**{"x-device-api-key": key}) as client:
        answer = await client.post(f"{device}/rotate-key", json={"reason": "yearly"})
        assert answer.status_code == 200
        body = answer.json()
        assert set(body) == {"message", "data"}
        ends = {body["data"][name] for name in ("grace_period_ends", "old_key_valid_until")}
        assert ends == {body["data"]["expires_at"]}
        status = (await client.get(f"{device}/key-status")).json()["data"]
        assert status["successor"]["first_used_at"] is None
    new = {"authorization": f"Bearer {body['data']['new_api_key']}"}
    async with api.client(**new) as client:
        ping = await client.get(f"{device}/ping")
        assert (ping.status_code, ping.json()["status"]) == (200, "ok")
        assert ping.json()["uuid"] == str(agent.uuid)
        history = (await client.get(f"{device}/rotation-history")).json()
        assert history["count"] == 2
        assert [row["superseded_at"] is None for row in history["history"]] == [True, False]
    async with api.client(**{"x-device-api-key": key}) as client:
        assert (await client.get(f"{device}/ping")).status_code == 403
        logs = await client.post(f"{device}/logs", content=b'{"message": "late"}\n')
        assert logs.status_code == 202


async def test_revoked_keys_are_answered_401(ctx: Context) -> None:
    agent = await make_agent(ctx)
    key = await give_key(ctx, agent)
    _, token = await sign_in(ctx)
    api = Api(ctx)
    url = "/api/v1/admin/device/{}/emergency-revoke"
    async with api.client(authorization=token) as client:
        short = await client.post(url.format(agent.uuid), json={"reason": "x"})
        assert (short.status_code, short.json()["error"]) == (400, "Invalid request")
        assert "reason" in short.json()["message"]
        gone = await client.post(url.format(uuid4()), json={"reason": "stolen"})
        assert (gone.status_code, gone.json()["error"]) == (404, "Device not found")
        done = await client.post(url.format(agent.uuid), json={"reason": "stolen"})
        assert done.json()["status"] == "ok"
    async with api.client(**{"x-device-api-key": key}) as client:
        for path in ("ping", "state", "key-status"):
            assert (await client.get(f"/api/v1/device/{agent.uuid}/{path}")).status_code == 401


@pytest.mark.parametrize("family", FAMILIES)
async def test_provisioning_keys_are_revoked_under_both_names(ctx: Context, family: str) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        made = (await client.post(f"/api/v1/{family}", json={"maxDevices": 3})).json()
        url = f"/api/v1/{family}/{made['id']}"
        answer = await client.request("DELETE", url, json={"reason": "leaked"})
        assert answer.json() == {
            "status": "ok",
            "message": "Provisioning key revoked",
            "keyId": made["id"],
            "reason": "leaked",
        }
        assert (await client.delete(url)).json()["reason"] == "leaked"
        listed = (await client.get(f"/api/v1/{family}", params={"onlyUsable": "true"})).json()
        assert made["id"] not in {row["id"] for row in listed["keys"]}
        gone = await client.delete(f"/api/v1/{family}/{uuid4()}")
        assert (gone.status_code, gone.json()["error"]) == (404, "Provisioning key not found")


async def test_a_generated_key_is_for_one_agent_and_ends_the_one_before(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        first = (await client.post("/api/v1/provisioning-keys/generate", json={})).json()
        assert first["maxDevices"] == 1
        assert len(first["key"]) == 64
        second = await client.post(
            "/api/v1/provisioning-keys/generate", json={"previousKeyId": first["id"]}
        )
        assert second.status_code == 201
        rows = (await client.get("/api/v1/provisioning-keys")).json()["keys"]
        active = {row["id"]: row["is_active"] for row in rows}
        assert active[first["id"]] is False
        assert active[second.json()["id"]] is True


async def test_a_refused_proof_says_what_is_wrong_with_the_challenge(ctx: Context) -> None:
    clock = ManualClock(ctx.clock.now())
    ctx = replace(ctx, clock=clock)
    edge = Edge.make()
    registered = await register(ctx, edge)
    url = f"/api/v1/device/{edge.uuid}/key-exchange"
    body = {"uuid": str(edge.uuid), "signature": edge.sign(registered.challenge)}
    async with Api(ctx).client(**{"x-agent-key": edge.device_key}) as client:
        wrong = await client.post(url, json=body | {"signature": edge.sign("another")})
        clock.advance(seconds=ctx.policy.challenge_ttl_seconds + 1)
        late = await client.post(url, json=body)
        await Agent.filter(uuid=edge.uuid).update(challenge=None)
        none = await client.post(url, json=body)
    answers = (wrong, late, none)
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert [answer.json()["error"] for answer in answers] == [
        "Proof of possession failed",
        "Challenge expired",
        "No challenge found",
    ]
