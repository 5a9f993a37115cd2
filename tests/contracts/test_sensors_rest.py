"""Sensors over REST: statuses, envelopes and titles that clients read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from resolvers import current_states
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent
from tests.schema.asking import as_agent, record

PRESS: dict[str, Any] = {
    "name": "press_plc",
    "protocol": "modbus",
    "connection": {"type": "tcp", "host": "192.0.2.20", "port": 502, "password": "s3cret"},
    "dataPoints": [{"name": "speed", "address": 0, "type": "holding"}],
    "pollInterval": 2000,
    "location": "hall 1",
}
MASKED = PRESS["connection"] | {"password": "***"}


@pytest.fixture
async def client(ctx: Context) -> AsyncIterator[httpx.AsyncClient]:
    """An owner's."""
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        yield client


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


@pytest.fixture
def path(agent: Agent) -> str:
    return f"/api/v1/agents/{agent.uuid}/devices"


async def report(ctx: Context, agent: Agent, **members: Any) -> None:
    body = {str(agent.uuid): {"version": 2, **members}}
    await current_states.report_state(as_agent(ctx, agent), body, transport="http")


async def test_a_sensor_is_added_changed_listed_and_deleted(
    client: httpx.AsyncClient, path: str
) -> None:
    made = await client.post(path, json=PRESS)
    assert made.status_code == 201
    body = made.json()
    assert (body["status"], body["message"], body["version"]) == ("ok", "Device added", 2)
    device = body["device"]
    assert device["connection"] == MASKED
    assert (device["deploymentStatus"], device["syncedToConfig"]) == ("pending", True)
    assert {"sensor", "validateOnly", "credentials"}.isdisjoint(body)
    echo = {"connection": device["connection"], "pollInterval": 500}
    changed = (await client.put(f"{path}/press_plc", json=echo)).json()
    assert (changed["version"], changed["device"]["pollInterval"]) == (3, 500)
    assert (await client.post(path, json=PRESS | {"name": "other"})).status_code == 201
    listed = (await client.get(path)).json()
    assert (listed["count"], [row["name"] for row in listed["devices"]]) == (
        2,
        ["other", "press_plc"],
    )
    assert listed["agents"] == listed["devices"]
    row = listed["devices"][1]
    assert (row["health"], row["childCount"], row["children"]) == (None, 0, [])
    assert (row["id"], row["location"]) == (device["uuid"], "hall 1")
    assert (await client.get(path, params={"protocol": "opcua"})).json()["count"] == 0
    soft = (await client.delete(f"{path}/{device['uuid']}")).json()
    assert soft == {"status": "ok", "message": "Device deleted", "mode": "soft", "version": 5}
    hard = (await client.delete(f"{path}/press_plc", params={"hard": "true"})).json()
    assert (hard["mode"], hard["version"]) == ("hard", 5)
    last = (await client.delete(f"{path}/other")).json()
    assert "last endpoint" in last["warning"]


async def test_what_is_only_checked_is_answered_apart(client: httpx.AsyncClient, path: str) -> None:
    checked = await client.post(path, params={"validateOnly": "true"}, json=PRESS)
    assert checked.status_code == 200
    body = checked.json()
    assert (body["validateOnly"], body["sensor"]["connection"]) == (True, MASKED)
    assert set(body["sensor"]["metadata"]) == {"createdAt", "createdBy"}
    assert "device" not in body
    assert (await client.get(path)).json()["count"] == 0
    await client.post(path, json=PRESS)
    update = {"pollInterval": 900}
    answer = await client.put(f"{path}/press_plc", params={"validateOnly": "true"}, json=update)
    assert (answer.status_code, answer.json()["updates"]) == (200, update)
    assert (await client.get(path)).json()["devices"][0]["pollInterval"] == 2000


async def test_mistakes_have_the_titles_that_clients_know(
    client: httpx.AsyncClient, path: str
) -> None:
    wrong = await client.post(path, json=PRESS | {"protocol": "smoke"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Validation failed")
    assert "protocol" in wrong.json()["message"]
    assert [error["field"] for error in wrong.json()["errors"]] == ["protocol"]
    bare = await client.post(path, json={})
    assert (bare.status_code, bare.json()["error"]) == (400, "Validation failed")
    await client.post(path, json=PRESS)
    twice = await client.post(path, json=PRESS)
    assert (twice.status_code, twice.json()["error"]) == (409, "Duplicate device")
    nowhere = f"/api/v1/agents/{uuid4()}/devices"
    for call in (
        client.get(nowhere),
        client.post(nowhere, json=PRESS),
        client.put(f"{path}/other", json={"enabled": False}),
        client.delete(f"{path}/other"),
        client.post(f"{path}/other/credentials"),
        client.get(nowhere.replace("devices", "device-health")),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["error"]) == (404, "Device not found")
    stale = await client.delete(f"{path}/press_plc", headers={"if-match": '"1"'})
    assert stale.status_code == 412


async def test_an_mqtt_sensor_is_told_its_password_once(
    client: httpx.AsyncClient, path: str
) -> None:
    gauge = {"name": "gauge", "protocol": "mqtt", "connection": {}}
    made = (await client.post(path, json=gauge)).json()
    password = made["credentials"]["password"]
    assert made["device"]["connection"]["topic"] == made["credentials"]["topic"]
    again = (await client.post(f"{path}/gauge/credentials")).json()
    assert again["credentials"]["password"] != password
    listed = (await client.get(path)).text
    assert password not in listed
    assert again["credentials"]["password"] not in listed


async def test_health_is_told_at_a_glance_and_over_time(
    ctx: Context, client: httpx.AsyncClient, agent: Agent, path: str
) -> None:
    made = (await client.post(path, json=PRESS)).json()["device"]
    await client.post(path, json=PRESS | {"name": "spare", "enabled": False})
    child = {"uuid": made["uuid"], "endpoint_uuid": made["uuid"], "name": "press_plc"}
    health = {"status": "offline", "connected": False, "protocol": "modbus", "errorCount": 3}
    await report(ctx, agent, devices=[child], endpoints_health={"press_plc": health})
    await record(ctx, agent, "speed", [(ctx.clock.now(), 1.5)], device="press_plc")
    root = f"/api/v1/agents/{agent.uuid}"
    seen = (await client.get(f"{root}/device-health")).json()
    assert seen["deviceUuid"] == str(agent.uuid)
    assert seen["summary"] == {
        "total": 2,
        "enabled": 1,
        "disabled": 1,
        "byProtocol": {"modbus": 2},
        "byStatus": {"pending": 2},
    }
    assert seen["agents"] == seen["devices"]
    press, spare = seen["devices"]
    assert (press["status"], press["connected"], press["errorCount"]) == ("offline", False, 3)
    assert (press["connection"], press["location"]) == (MASKED, "hall 1")
    assert press["lastTelemetryAt"] is not None
    assert (spare["status"], spare["connected"], spare["lastTelemetryAt"]) == (
        "disabled",
        None,
        None,
    )
    none = await client.get(f"{root}/device-health", params={"protocolType": "opcua"})
    assert none.json()["summary"]["total"] == 0
    listed = (await client.get(path)).json()["devices"][0]
    assert listed["health"]["lastTelemetryAt"] == press["lastTelemetryAt"]
    assert (listed["childCount"], listed["children"][0]["name"]) == (1, "press_plc")
    for key in ("press_plc", made["uuid"]):
        told = (await client.get(f"{root}/protocol-adapters/modbus/{key}/history")).json()
        assert (told["hours"], told["count"], told["device_name"]) == (24, 1, "press_plc")
        assert told["history"][0]["connected"] is False
        assert told["history"][0]["error_count"] == 3
    far = await client.get(f"{root}/protocol-adapters/modbus/x/history", params={"hours": 0})
    assert (far.status_code, far.json()["error"]) == (400, "Validation failed")


async def test_viewers_read_sensors_without_secrets_and_change_none(
    ctx: Context, client: httpx.AsyncClient, path: str
) -> None:
    await client.post(path, json=PRESS)
    _, token = await sign_in(ctx, role="viewer")
    async with Api(ctx).client(authorization=token) as viewer:
        assert "s3cret" not in (await viewer.get(path)).text
        for call in (
            viewer.post(path, json=PRESS),
            viewer.put(f"{path}/press_plc", json={"enabled": False}),
            viewer.delete(f"{path}/press_plc"),
            viewer.post(f"{path}/press_plc/credentials"),
        ):
            assert (await call).status_code == 403
