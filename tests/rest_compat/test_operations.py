"""The real operations, called as their clients call them."""

from __future__ import annotations

import base64
import gzip
from datetime import timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.context import Context
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import record

V1 = "/api/v1"


async def call(
    ctx: Context, method: str, path: str, *, api: Api | None = None, **arguments: Any
) -> httpx.Response:
    async with (api or Api(ctx)).client() as client:
        return await client.request(method, f"{V1}{path}", **arguments)


async def person(ctx: Context, **changes: Any) -> dict[str, str]:
    return {"authorization": (await sign_in(ctx, **changes))[1]}


async def test_login_answers_in_the_older_shape(ctx: Context) -> None:
    user, _ = await sign_in(ctx, full_name="Ada")
    body = {"username": user.email, "password": "correct horse battery"}
    answer = await call(ctx, "POST", "/auth/login", json=body)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert ctx.tokens.verify(data.pop("accessToken")).user_id == user.id
    assert data.pop("refreshToken")
    assert answer.json()["message"]
    assert data == {
        "mustChangePassword": False,
        "user": {
            "id": str(user.id),
            "username": user.username,
            "email": user.email,
            "role": "owner",
            "fullName": "Ada",
        },
    }


async def test_login_tells_bad_input_from_bad_credentials(ctx: Context) -> None:
    missing = await call(ctx, "POST", "/auth/login", json={"username": "x"})
    assert (missing.status_code, missing.json()["error"]) == (400, "Bad Request")
    wrong = await call(ctx, "POST", "/auth/login", json={"username": "x", "password": "y"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Unauthorized")
    # An old token in the browser must not keep anybody from signing in anew.
    stale = {"authorization": "Bearer made.up"}
    again = await call(
        ctx, "POST", "/auth/login", json={"username": "x", "password": "y"}, headers=stale
    )
    assert again.json()["message"] == "Invalid username or password"


async def test_agents_are_counted_paged_and_filtered(ctx: Context) -> None:
    for name in ("a", "b", "c"):
        await make_agent(ctx, name=name, is_online=name == "b", cpu_usage=7.5)
    await make_agent(ctx, name="d", is_active=False)
    headers = await person(ctx)
    page = (await call(ctx, "GET", "/agents?limit=2&page=2", headers=headers)).json()
    assert (page["count"], [agent["name"] for agent in page["agents"]]) == (2, ["c", "d"])
    assert page["pagination"] == {"page": 2, "limit": 2, "totalDevices": 4, "totalPages": 2}
    online = (await call(ctx, "GET", "/agents?online=true", headers=headers)).json()
    (agent,) = online["agents"]
    assert agent["id"] == agent["uuid"]
    assert agent["name"] == agent["device_name"] == "b"
    assert (agent["status"], agent["state"], agent["is_online"]) == ("online", "active", True)
    assert (agent["cpu_usage"], agent["metrics"]["cpu"]) == (7.5, 7.5)
    assert agent["provisioning_state"] == "provisioned"
    inactive = (await call(ctx, "GET", "/agents?filter=inactive", headers=headers)).json()
    assert [each["state"] for each in inactive["agents"]] == ["inactive"]
    everything = (await call(ctx, "GET", "/agents?filter=all", headers=headers)).json()
    assert everything["count"] == 4
    refused = await call(ctx, "GET", "/agents?limit=501", headers=headers)
    assert refused.status_code == 400


async def test_one_agent_has_device_target_state_and_current_state(ctx: Context) -> None:
    agent = await make_agent(ctx, name="press")
    headers = await person(ctx)
    body = (await call(ctx, "GET", f"/agents/{agent.uuid}", headers=headers)).json()
    assert body["device"]["name"] == "press"
    assert not {"public_key", "challenge", "key_hash"} & set(body["device"])
    assert body["target_state"]["apps"] == {}
    assert body["target_state"]["needs_deployment"] is False
    assert body["current_state"] is None
    nowhere = await call(ctx, "GET", f"/agents/{ctx.ids.uuid()}", headers=headers)
    assert (nowhere.status_code, nowhere.json()["error"]) == (404, "Device not found")
    assert (await call(ctx, "GET", f"/agents/{agent.uuid}")).status_code == 401


async def test_latest_readings_are_sorted_by_metric_and_filtered(ctx: Context) -> None:
    agent = await make_agent(ctx)
    now = ctx.clock.now()
    await record(ctx, agent, "temp", [(now, 2.5)])
    await record(ctx, agent, "rpm", [(now, 900.0)], device="pump")
    headers = await person(ctx)
    path = f"/readings/{agent.uuid}/latest"
    body = (await call(ctx, "GET", path, headers=headers)).json()
    assert (body["agent_uuid"], body["count"]) == (str(agent.uuid), 2)
    assert [row["metric_name"] for row in body["readings"]] == ["rpm", "temp"]
    assert body["readings"][1] == {
        "time": body["readings"][1]["time"],
        "agent_uuid": str(agent.uuid),
        "metric_name": "temp",
        "value": 2.5,
        "quality": "good",
        "unit": "°C",
        "protocol": "modbus",
        "extra": {"device_uuid": "press", "device_name": "press", "endpoint_uuid": None},
    }
    some = (await call(ctx, "GET", f"{path}?metrics=temp, unknown", headers=headers)).json()
    assert [row["metric_name"] for row in some["readings"]] == ["temp"]
    bad = await call(ctx, "GET", "/readings/nonsense/latest", headers=headers)
    assert (bad.status_code, bad.json()["error"]) == (400, "Invalid agent UUID format")


async def test_timeseries_are_newest_first_raw_or_by_interval(ctx: Context) -> None:
    agent = await make_agent(ctx)
    start = ctx.clock.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    times = [start + timedelta(seconds=30 * at) for at in range(4)]
    await record(ctx, agent, "temp", [(time, float(at)) for at, time in enumerate(times)])
    headers = await person(ctx)
    path = f"/readings/{agent.uuid}/timeseries"
    raw = (await call(ctx, "GET", f"{path}?metric=temp&limit=3", headers=headers)).json()
    assert (raw["count"], "interval" in raw) == (3, False)
    assert [row["value"] for row in raw["readings"]] == [3.0, 2.0, 1.0]
    assert raw["readings"][0] == {
        "time": f"{times[3]:%Y-%m-%dT%H:%M:%S}.000000Z",
        "agent_uuid": str(agent.uuid),
        "metric_name": "temp",
        "value": 3.0,
        "quality": "good",
        "unit": "°C",
        "protocol": "modbus",
        "extra": {"device_uuid": "press", "device_name": "press", "endpoint_uuid": None},
    }
    span = {"start": times[1].isoformat(), "end": times[2].isoformat()}
    inclusive = (await call(ctx, "GET", path, params=span, headers=headers)).json()
    assert [row["value"] for row in inclusive["readings"]] == [2.0, 1.0]
    buckets = (await call(ctx, "GET", f"{path}?interval=1m", headers=headers)).json()
    assert (buckets["interval"], buckets["count"]) == ("1m", 2)
    first = buckets["readings"][0]
    assert (first["avg_value"], first["min_value"], first["max_value"]) == (2.5, 2.0, 3.0)
    assert (first["metric_name"], first["sample_count"]) == ("temp", 2)


async def test_timeseries_names_what_it_refuses(ctx: Context) -> None:
    agent = await make_agent(ctx)
    headers = await person(ctx)
    for query, title in (
        ("start=soon", "Invalid start time format"),
        ("end=soon", "Invalid end time format"),
        ("limit=0", "Invalid parameters"),
        ("interval=soon", "Invalid parameters"),
    ):
        path = f"/readings/{agent.uuid}/timeseries?{query}"
        answer = await call(ctx, "GET", path, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, title), query
        assert answer.json()["requestId"]


async def test_provisioning_keys_under_both_names(ctx: Context) -> None:
    headers = await person(ctx)
    made = await call(ctx, "POST", "/provision/keys", json={"description": "x"}, headers=headers)
    assert made.status_code == 201
    body = made.json()
    assert set(body) == {
        "id",
        "key",
        "fleetUuid",
        "maxDevices",
        "expiresAt",
        "description",
        "warning",
    }
    assert (len(body["key"]), body["maxDevices"]) == (64, 1)
    more = {"maxDevices": 100}
    await call(ctx, "POST", "/provisioning-keys", json=more, headers=headers)
    for path in ("/provision/keys", "/provisioning-keys"):
        listed = (await call(ctx, "GET", path, headers=headers)).json()
        assert listed["count"] == 2
        assert [key["max_agents"] for key in listed["keys"]] == [100, 1]
        assert "key" not in listed["keys"][0]
    assert (await call(ctx, "POST", "/provision/keys", json=more)).status_code == 401
    viewer = await person(ctx, role="viewer")
    assert (await call(ctx, "GET", "/provision/keys", headers=viewer)).status_code == 403


def registration(ctx: Context) -> tuple[dict[str, Any], Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = {
        "uuid": str(ctx.ids.uuid()),
        "deviceName": "agent-3f2b8c14",
        "deviceType": "standalone",
        "deviceApiKey": f"v2_9f01ab23_{ctx.ids.secret_hex(32)}",
        "devicePublicKey": pem.decode(),
        "macAddress": "02:00:5e:00:53:01",
        "applicationId": 7,
    }
    return body, private


async def _key(ctx: Context, agents: int = 1) -> str:
    headers = await person(ctx)
    more = {"maxDevices": agents}
    made = await call(ctx, "POST", "/provision/keys", json=more, headers=headers)
    return str(made.json()["key"])


async def test_an_agent_registers_and_exchanges_its_key(ctx: Context) -> None:
    body, private = registration(ctx)
    headers = {"x-provisioning-key": await _key(ctx)}
    answer = await call(ctx, "POST", "/agent/register", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    got = answer.json()
    assert isinstance(got["id"], int)
    assert got["uuid"] == body["uuid"]
    assert got["name"] == got["deviceName"] == body["deviceName"]
    assert got["type"] == got["deviceType"] == body["deviceType"]
    assert got["tenantId"]
    assert got["challenge"]
    assert got["createdAt"].endswith("Z")
    config = got["mqtt"]["brokerConfig"]
    assert (config["protocol"], config["host"], config["port"]) == ("mqtt", "fleet.test", 1883)
    assert (config["username"], config["password"]) == (
        got["mqtt"]["username"],
        got["mqtt"]["password"],
    )
    assert {"useTls", "clientIdPrefix", "keepAlive", "cleanSession"} <= set(config)
    assert "caCert" not in config
    assert got["mqtt"]["broker"] == "mqtt://fleet.test:1883"
    assert got["mqtt"]["topics"]["publish"]
    repeated = await call(ctx, "POST", "/agent/register", json=body, headers=headers)
    assert repeated.json()["challenge"] == got["challenge"]
    assert repeated.json()["mqtt"] == got["mqtt"]

    own = {"x-agent-key": body["deviceApiKey"]}
    again = await call(ctx, "POST", f"/device/{body['uuid']}/challenge", headers=own)
    assert again.json()["challenge"] == got["challenge"]
    text = f"{body['uuid']}:{got['challenge']}".encode()
    proof = {"uuid": body["uuid"], "signature": base64.b64encode(private.sign(text)).decode()}
    path = f"/device/{body['uuid']}/key-exchange"
    for _ in range(2):  # an answer that got lost makes the agent ask again
        exchanged = await call(ctx, "POST", path, json=proof, headers=own)
        assert exchanged.status_code == 200, exchanged.text
        assert exchanged.json()["status"] == "ok"
        assert exchanged.json()["device"]["deviceName"] == body["deviceName"]


async def test_the_provisioning_key_may_come_in_three_places(ctx: Context) -> None:
    key = await _key(ctx, 3)
    for headers, extra in (
        ({"x-provisioning-key": key}, {}),
        ({"authorization": f"Bearer {key}"}, {}),
        ({}, {"provisioningKey": key}),
    ):
        body, _ = registration(ctx)
        answer = await call(ctx, "POST", "/provision/agent", json=body | extra, headers=headers)
        assert answer.status_code == 200, answer.text
    body, _ = registration(ctx)
    none = await call(ctx, "POST", "/agent/register", json=body)
    assert (none.status_code, none.json()["error"]) == (401, "Unauthorized")
    used_up = await call(
        ctx, "POST", "/agent/register", json=body, headers={"x-provisioning-key": key}
    )
    assert (used_up.status_code, used_up.json()["error"]) == (401, "Unauthorized")
    headers = {"x-provisioning-key": key}
    bad = await call(
        ctx, "POST", "/agent/register", json=body | {"devicePublicKey": "x"}, headers=headers
    )
    assert (bad.status_code, bad.json()["error"]) == (400, "Invalid public key format")
    del body["deviceName"]
    missing = await call(ctx, "POST", "/agent/register", json=body, headers=headers)
    assert (missing.status_code, missing.json()["error"]) == (400, "Missing required fields")


async def test_an_operator_sets_and_clears_a_target_state(ctx: Context) -> None:
    agent = await make_agent(ctx)
    headers = await person(ctx)
    path = f"/agents/{agent.uuid}/target-state"
    empty = (await call(ctx, "GET", path, headers=headers)).json()
    assert (empty["uuid"], empty["apps"], empty["config"]) == (str(agent.uuid), {}, {})
    for method, version in (("POST", 2), ("PUT", 3)):
        body: dict[str, Any] = {
            "apps": [{"appId": 1001, "appName": "hmi"}],
            "config": {"a": version},
        }
        answer = await call(ctx, method, path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        got = answer.json()
        assert (got["status"], got["uuid"], got["version"]) == ("ok", str(agent.uuid), version)
        assert got["message"]
        assert list(got["apps"]) == ["1001"]
        assert got["config"] == {"a": version}
    cleared = await call(ctx, "DELETE", path, headers=headers)
    assert (cleared.status_code, cleared.json()["status"]) == (200, "ok")
    assert (await call(ctx, "GET", path, headers=headers)).json()["apps"] == {}


async def test_target_states_refuse_with_the_older_titles(ctx: Context) -> None:
    agent = await make_agent(ctx)
    headers = await person(ctx)
    path = f"/agents/{agent.uuid}/target-state"
    wrong: list[tuple[dict[str, Any], str]]
    wrong = [({}, "Invalid request"), ({"apps": [{}]}, "Invalid apps format")]
    for body, title in wrong:
        answer = await call(ctx, "POST", path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, title)
    nowhere = f"/agents/{ctx.ids.uuid()}/target-state"
    missing = await call(ctx, "PUT", nowhere, json={"apps": {}}, headers=headers)
    assert (missing.status_code, missing.json()["error"]) == (404, "Device not found")
    viewer = await person(ctx, role="viewer")
    refused = await call(ctx, "PUT", path, json={"apps": {}}, headers=viewer)
    assert refused.status_code == 403
    stale = await call(ctx, "PUT", path, json={"apps": {}}, headers={**headers, "If-Match": '"9"'})
    assert stale.status_code == 412
    etag = (await call(ctx, "GET", path, headers=headers)).headers["etag"]
    current = {**headers, "If-Match": etag}
    changed = await call(ctx, "PUT", path, json={"apps": {"7": {}}}, headers=current)
    assert changed.status_code == 200
    assert changed.headers["etag"] == f'"{changed.json()["version"]}"' != etag
    again = await call(ctx, "PUT", path, json={"apps": {}}, headers=current)
    assert again.status_code == 412
    anyhow = await call(ctx, "PUT", path, json={"apps": {}}, headers={**headers, "If-Match": "*"})
    assert anyhow.status_code == 200


async def test_a_current_state_exists_after_the_first_report(ctx: Context) -> None:
    agent = await make_agent(ctx)
    headers = await person(ctx)
    path = f"/agents/{agent.uuid}/current-state"
    none = await call(ctx, "GET", path, headers=headers)
    assert (none.status_code, none.json()["error"]) == (404, "No state reported yet")
    own = {"x-device-api-key": await give_key(ctx, agent), "content-encoding": "gzip"}
    report = f'{{"{agent.uuid}":{{"apps":{{}},"is_online":true,"version":1,"cpu_usage":3}}}}'
    answer = await call(
        ctx, "PATCH", "/device/state", content=gzip.compress(report.encode()), headers=own
    )
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    state = (await call(ctx, "GET", path, headers=headers)).json()
    assert (state["apps"], state["version"]) == ({}, 1)
    assert state["reported_at"]


async def test_a_poll_answers_once_and_then_304(ctx: Context) -> None:
    agent = await make_agent(ctx)
    own = {"x-device-api-key": await give_key(ctx, agent)}
    path = f"/device/{agent.uuid}/state"
    first = await call(ctx, "GET", path, headers=own)
    assert first.status_code == 200
    assert set(first.json()) == {str(agent.uuid)}
    assert set(first.json()[str(agent.uuid)]) >= {"apps", "config", "version"}
    second = await call(ctx, "GET", path, headers=own | {"if-none-match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")
    headers = await person(ctx)
    target = {"apps": {"1": {"appId": 1}}}
    await call(ctx, "PUT", f"/agents/{agent.uuid}/target-state", json=target, headers=headers)
    third = await call(ctx, "GET", path, headers=own | {"if-none-match": first.headers["etag"]})
    assert third.status_code == 200
    assert third.json()[str(agent.uuid)]["version"] == 2
    other = await make_agent(ctx)
    assert (await call(ctx, "GET", f"/device/{other.uuid}/state", headers=own)).status_code == 404


async def test_an_outage_is_no_error_for_an_agent(ctx: Context) -> None:
    agent = await make_agent(ctx)
    own = {"x-device-api-key": await give_key(ctx, agent)}
    api = Api(ctx)
    api.is_down = True
    poll = await call(ctx, "GET", f"/device/{agent.uuid}/state", api=api, headers=own)
    assert (poll.status_code, poll.content) == (304, b"")
    report: dict[str, Any] = {str(agent.uuid): {"apps": {}}}
    answer = await call(ctx, "PATCH", "/device/state", api=api, json=report, headers=own)
    assert answer.status_code == 202
    assert len(api.deferred) == 1


async def test_log_batches_are_echoed_and_counted_once(ctx: Context) -> None:
    agent = await make_agent(ctx)
    batch = f"{agent.uuid}-1772359524000-0"
    lines = b'{"timestamp":1772359524000,"level":"info","message":"made up"}\n' * 60
    headers = {
        "x-device-api-key": await give_key(ctx, agent),
        "x-batch-id": batch,
        "content-type": "application/x-ndjson",
        "content-encoding": "gzip",
    }
    path = f"/device/{agent.uuid}/logs"
    first = await call(ctx, "POST", path, content=gzip.compress(lines), headers=headers)
    assert first.status_code == 202, first.text
    assert first.json()["batchId"] == batch
    assert first.json()["accepted"] is True
    assert first.json()["received"] == 60
    again = await call(ctx, "POST", path, content=gzip.compress(lines), headers=headers)
    assert (again.status_code, again.json()["batchId"]) == (200, batch)
    assert again.json()["duplicate"] is True


async def test_a_factory_reset_finds_the_agent_itself(ctx: Context) -> None:
    agent = await make_agent(ctx)
    own = {"authorization": f"Bearer {await give_key(ctx, agent)}"}
    answer = await call(ctx, "GET", f"/devices/{agent.uuid}", headers=own)
    assert (answer.status_code, answer.json()["uuid"]) == (200, str(agent.uuid))
