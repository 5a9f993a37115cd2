"""What an agent repeats, leaves out or sends besides, while it comes in over REST."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core.context import Context
from tests.contracts.serving import Api
from tests.resolvers.edge import Edge, new_key


@pytest.fixture
async def client(ctx: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with Api(ctx).client() as client:
        yield client


async def register(
    client: httpx.AsyncClient, edge: Edge, provisioning_key: str, **more: object
) -> dict[str, Any]:
    body = {
        "uuid": str(edge.uuid),
        "deviceName": "agent-3f2b8c14",
        "deviceType": "standalone",
        "deviceApiKey": edge.device_key,
        "devicePublicKey": edge.pem,
    } | more
    headers = {
        "x-provisioning-key": provisioning_key,
        "X-Idempotency-Key": f"register-{edge.uuid}",
    }
    answer = await client.post("/api/v1/agent/register", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    registered: dict[str, Any] = answer.json()
    return registered


async def exchange(client: httpx.AsyncClient, edge: Edge, challenge: str) -> httpx.Response:
    headers = {
        "x-agent-key": edge.device_key,
        "X-Idempotency-Key": f"key-exchange-{edge.uuid}",
    }
    proof = {"uuid": str(edge.uuid), "signature": edge.sign(challenge)}
    path = f"/api/v1/device/{edge.uuid}/key-exchange"
    return await client.post(path, json=proof, headers=headers)


async def test_an_idempotency_key_that_never_changes_brings_no_answer_of_before(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    before, key = Edge.make(), await new_key(ctx, agents_max=2)
    first = await register(client, before, key)
    assert (await exchange(client, before, first["challenge"])).status_code == 200
    after = before.with_new_device_key()
    second = await register(client, after, await new_key(ctx))
    assert second["mqtt"]["brokerConfig"]["password"] != first["mqtt"]["brokerConfig"]["password"]
    assert (await exchange(client, after, second["challenge"])).status_code == 200
    path = f"/api/v1/device/{after.uuid}/state"
    poll = await client.get(path, headers={"x-device-api-key": after.device_key})
    assert poll.status_code == 200


async def test_facts_may_be_missing_and_members_of_old_may_be_there(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    """An agent that its own API provisions tells no facts; old ones tell an application."""
    for more in ({}, {"applicationId": 7, "applicationName": "x"}, {"macAddress": None}):
        registered = await register(client, Edge.make(), await new_key(ctx), **more)
        assert registered["tenantId"]


async def test_the_answer_renames_nobody_and_has_no_vpn(
    ctx: Context, client: httpx.AsyncClient
) -> None:
    """An agent takes `name` and `type` over, and installs the VPN that it is told of."""
    registered = await register(client, Edge.make(), await new_key(ctx))
    assert (registered["name"], registered["type"]) == ("agent-3f2b8c14", "standalone")
    assert "vpn" not in registered
    assert len(base64.urlsafe_b64decode(registered["challenge"] + "=")) == 32
