"""Who reads secrets of documents: whoever may change them, and the agent itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from core.access import Permission
from core.callers import Caller, Role
from core.context import Context
from models.agents import Agent
from resolvers.current_states import report_state
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import as_agent, ask

HUSH = "hush-7731"
ENDPOINT: dict[str, Any] = {
    "uuid": "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60",
    "name": "press",
    "protocol": "opcua",
    "connection": {
        "endpointUrl": f"opc.tcp://op:{HUSH}@192.0.2.9:4840",
        "password": HUSH,
        "options": [f"PASSWORD={HUSH}", "x=1"],
        "hdr": f"Bearer {HUSH}abcdefgh",
    },
    "dataPoints": [{"name": "a", "nodeId": "ns=1;s=a"}],
}
SERVICES = [
    {
        "serviceId": 1,
        "serviceName": "db",
        "config": {"environment": {"DB_PASSWORD": HUSH, "MODE": "a"}, "args": [[f"pin={HUSH}"]]},
    },
    {"serviceId": 2, "serviceName": "web", "config": {"environment": [f"TOKEN={HUSH}", "A=b"]}},
]
DOCUMENT = {
    "apps": {"7": {"appId": 7, "appName": "hmi", "services": SERVICES}},
    "config": {"endpoints": [ENDPOINT], "broker": {"password": HUSH, "port": 1883}},
}
REPORT = {
    "version": 2,
    "apps": DOCUMENT["apps"],
    "config": {
        "broker": {"password": HUSH, "port": 1883},
        "endpoints": [
            {"id": "6a1d", "connectionString": f'{{"host":"192.0.2.9","password":"{HUSH}"}}'}
        ],
    },
}
PATHS = (
    *("", "/target-state", "/target-state/draft", "/target-state/history/2"),
    *("/apps", "/current-state"),
)
GRAPHQL = """query($u: UUID!) {
  targetState(agentUuid: $u) { apps config draft { apps config } }
  targetStateVersions(agentUuid: $u) { nodes { apps config diff { changes { before after } } } }
  agents { nodes { targetState { apps config draft { apps config } } currentState { apps config } } }
  currentState(agentUuid: $u) { apps config extra runningApps { name services { image } } }
  stateHistory(agentUuid: $u) { nodes { report } }
}"""

STORED = "query($u: UUID!) { targetState(agentUuid: $u) { etag version draft { apps config } } }"


class People:
    """An agent with documents, and those who read them."""

    def __init__(self, ctx: Context, agent: Agent, api: Api) -> None:
        self._ctx, self.agent, self._api = ctx, agent, api

    async def __call__(self, role: str, method: str, path: str, **sent: Any) -> httpx.Response:
        _, token = await sign_in(self._ctx, role=role)
        async with self._api.client(authorization=token) as client:
            return await client.request(method, f"/api/v1/agents/{self.agent.uuid}{path}", **sent)

    async def read(self, role: str, path: str) -> str:
        """Return the text of an answer."""
        found = await self(role, "GET", path)
        assert found.status_code == 200, (path, found.text)
        return found.text


@pytest.fixture
async def people(ctx: Context) -> People:
    agent = await make_agent(ctx)
    people = People(ctx, agent, Api(ctx))
    for path in ("/target-state", "/target-state?draft=true"):
        assert (await people("admin", "PUT", path, json=DOCUMENT)).status_code == 200
    report = {str(agent.uuid): REPORT}
    await report_state(as_agent(ctx, agent), report, transport="http")
    return people


async def test_secrets_are_masked_for_those_who_may_only_read(people: People) -> None:
    for path in PATHS:
        for role in ("viewer", "operator"):
            text = await people.read(role, path)
            assert HUSH not in text, (role, path)
            assert "***" in text, (role, path)
        for role in ("manager", "admin"):
            assert HUSH in await people.read(role, path), (role, path)


async def test_a_key_that_may_only_read_is_shown_no_secret(ctx: Context, people: People) -> None:
    uuid = str(people.agent.uuid)
    narrow = ctx.acting_as(
        Caller(Role.OWNER, ctx.tenant_id, scopes=frozenset({Permission.DEVICE_READ}))
    )
    assert HUSH not in str(await ask(narrow, GRAPHQL, u=uuid))
    assert HUSH in str(await ask(ctx, GRAPHQL, u=uuid))


async def test_what_is_no_secret_stays(people: People) -> None:
    found = (await people("viewer", "GET", "/current-state")).json()
    assert found["config"]["broker"] == {"password": "***", "port": 1883}
    text = '{"host":"192.0.2.9","password":"***"}'
    assert found["config"]["endpoints"][0]["connectionString"] == text
    environment = found["apps"]["7"]["services"][0]["config"]["environment"]
    assert environment == {"DB_PASSWORD": "***", "MODE": "a"}


async def test_an_agent_reads_its_own_secrets(ctx: Context, people: People) -> None:
    uuid, key = people.agent.uuid, await give_key(ctx, people.agent)
    headers = {"x-device-api-key": key}
    async with Api(ctx).client() as client:
        for path in (f"/api/v1/device/{uuid}/state", f"/api/v1/agents/{uuid}/target-state"):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 200
            assert HUSH in answer.text
            assert "***" not in answer.text


@pytest.mark.parametrize("reader", ["admin", "viewer"])
async def test_what_anyone_read_can_be_put_back_and_changes_nothing(
    ctx: Context, people: People, reader: str
) -> None:
    uuid = str(people.agent.uuid)
    before = await ask(ctx, STORED, u=uuid)
    assert before["targetState"]["draft"]["config"] == DOCUMENT["config"]
    read = await people(reader, "GET", "/target-state")
    sent = {name: read.json()[name] for name in ("apps", "config")}
    put = await people("admin", "PUT", "/target-state", json=sent)
    assert (put.status_code, put.headers["etag"]) == (200, read.headers["etag"])
    draft = (await people(reader, "GET", "/target-state/draft")).json()["draft"]
    sent = {name: draft[name] for name in ("apps", "config")}
    assert (await people("admin", "PUT", "/target-state?draft=true", json=sent)).status_code == 200
    assert await ask(ctx, STORED, u=uuid) == before


async def test_an_app_put_back_keeps_its_secrets(people: People) -> None:
    app = (await people("viewer", "GET", "/apps")).json()["apps"]["7"]
    assert HUSH not in str(app)
    sent = {name: app[name] for name in ("appName", "services")}
    put = await people("admin", "PUT", "/apps/7", json=sent)
    assert put.status_code == 200
    configs = [service["config"] for service in put.json()["services"]]
    assert configs == [service["config"] for service in SERVICES]
    services = [{"serviceName": "web", "image": "nginx:2", "environment": ["C=d", "TOKEN=***"]}]
    changed = await people("admin", "PATCH", "/apps/7", json={"services": services})
    assert changed.json()["services"][0]["config"]["environment"] == ["C=d", f"TOKEN={HUSH}"]


async def test_a_mask_for_nothing_is_a_bad_request(people: People) -> None:
    wrong = DOCUMENT | {"config": {"broker": {"token": "***"}}}
    for path in ("/target-state", "/target-state?draft=true"):
        refused = await people("admin", "PUT", path, json=wrong)
        assert refused.status_code == 400
        assert refused.json()["error"] == "Invalid request"
        assert "config.broker.token" in refused.text


async def test_a_sensor_sent_back_with_changes_beside_keeps_its_secrets(people: People) -> None:
    sensors = (await people("admin", "GET", "/devices")).json()["devices"]
    (connection,) = (sensor["connection"] for sensor in sensors)
    assert HUSH not in str(connection)
    connection["options"].insert(0, "y=2")
    put = await people("admin", "PUT", "/devices/press", json={"connection": connection})
    assert put.status_code == 200
    live = (await people("admin", "GET", "/target-state")).json()["config"]["endpoints"][0]
    options = ["y=2", *ENDPOINT["connection"]["options"]]
    assert live["connection"] == ENDPOINT["connection"] | {"options": options}
    connection["hdr"] += " "
    refused = await people("admin", "PUT", "/devices/press", json={"connection": connection})
    assert refused.status_code == 400
    assert "connection.hdr" in refused.text
