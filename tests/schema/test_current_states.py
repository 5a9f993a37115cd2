"""What agents report, with types: apps, gateway, endpoints, and where they drift."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.context import Context
from models.agents import Agent
from resolvers.current_states import report_state
from resolvers.target_states import set_target_state
from tests.factories import make_agent
from tests.schema.asking import as_agent, ask, follow

CONNECTION = {"host": "192.0.2.20", "password": "open sesame"}
ENDPOINT = {"id": "6a1d", "name": "press", "connectionString": json.dumps(CONNECTION)}
REPORT: dict[str, Any] = {
    "version": 7,
    "apps": {
        "1001": {
            "appName": "edge-stack",
            "services": [
                {
                    "serviceName": "web",
                    "status": "running",
                    "containerId": "c0ffee",
                    "config": {"image": "nginx:1.27"},
                },
                {"serviceId": 2, "imageName": "redis:7", "state": "exited"},
                "odd",
            ],
        },
        "7": "odd",
    },
    "config": {"endpoints": [ENDPOINT, "odd"], "logging": {"level": "info"}},
    "endpoints_health": {"press": {"status": "online", "errorCount": 3, "lastPoll": "never"}},
    "os_version": "Debian",
    "architecture": "x64",
    "agent_version": "1.0.547",
    "local_ip": "192.0.2.10",
    "network_interfaces": [
        {"name": "eth0", "ip4": "192.0.2.10", "default": True, "signalLevel": -40, "mac": 5}
    ],
    "uptime": 3600,
    "temperature": 47.5,
    "memory_usage": 412,
    "publish_health": {"ok": 1},
}
QUERY = """
query ($u: UUID!) { agent(uuid: $u) {
  currentState {
    version
    runningApps { appId name services { name image state containerId } }
    systemInfo {
      osVersion architecture agentVersion ip uptimeSeconds temperature memoryUsage storageTotal
      interfaces { name ip4 mac default virtual signalLevel }
    }
    endpoints { name status errorCount lastPoll connected }
    config extra
  }
} }
"""


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def report(ctx: Context, agent: Agent, **members: Any) -> None:
    await report_state(as_agent(ctx, agent), REPORT | members, transport="mqtt")


async def test_tells_what_a_report_holds_with_types(ctx: Context, agent: Agent) -> None:
    await report(ctx, agent)
    state = (await ask(ctx, QUERY, u=str(agent.uuid)))["agent"]["currentState"]
    services = [
        {"name": "web", "image": "nginx:1.27", "state": "running", "containerId": "c0ffee"},
        {"name": "2", "image": "redis:7", "state": "exited", "containerId": None},
    ]
    assert state["runningApps"] == [
        {"appId": "1001", "name": "edge-stack", "services": services},
        {"appId": "7", "name": None, "services": []},
    ]
    assert state["systemInfo"] == {
        "osVersion": "Debian",
        "architecture": "x64",
        "agentVersion": "1.0.547",
        "ip": "192.0.2.10",
        "uptimeSeconds": 3600,
        "temperature": 47.5,
        "memoryUsage": 412,
        "storageTotal": None,
        "interfaces": [
            {
                "name": "eth0",
                "ip4": "192.0.2.10",
                "mac": None,
                "default": True,
                "virtual": None,
                "signalLevel": -40,
            }
        ],
    }
    assert state["endpoints"] == [
        {"name": "press", "status": "online", "errorCount": 3, "lastPoll": None, "connected": None}
    ]
    assert state["extra"] == {"publish_health": {"ok": 1}}


async def test_secrets_in_connections_are_masked(ctx: Context, agent: Agent) -> None:
    await report(ctx, agent)
    history = "query ($u: UUID!) { stateHistory(agentUuid: $u) { nodes { isReplay report } } }"
    state = (await ask(ctx, QUERY, u=str(agent.uuid)))["agent"]["currentState"]
    (record,) = (await ask(ctx, history, u=str(agent.uuid)))["stateHistory"]["nodes"]
    for config in (state["config"], record["report"]["config"]):
        endpoint, odd = config["endpoints"]
        shown = json.loads(endpoint["connectionString"])
        assert shown == {"host": "192.0.2.20", "password": "***"}
        assert odd == "odd"
        assert config["logging"] == {"level": "info"}
    assert record["report"]["version"] == 7


DRIFT = """drift { status since ageSeconds reason wantedVersion reportedVersion keepsEndpoints
  differences { kind path wanted reported } }"""


async def test_tells_how_far_an_agent_is_from_its_target(ctx: Context, agent: Agent) -> None:
    query = f"query ($u: UUID!) {{ agent(uuid: $u) {{ {DRIFT} }} }}"
    apps = {"1001": {"appName": "edge-stack"}, "8": {"appName": "new"}}
    await set_target_state(ctx, agent.uuid, apps=apps, config={})
    await report(ctx, agent)
    drift = (await ask(ctx, query, u=str(agent.uuid)))["agent"]["drift"]
    assert drift.pop("since") is not None
    assert drift.pop("ageSeconds") >= 0
    unexpected = {"wanted": None, "reported": None, "kind": "app_unexpected", "path": "apps.7"}
    services = [
        {
            "kind": "service_unexpected",
            "path": f"apps.1001.services.{name}",
            "wanted": None,
            "reported": image,
        }
        for name, image in (("2", "redis:7"), ("web", "nginx:1.27"))
    ]
    missing = {"kind": "app_missing", "path": "apps.8", "wanted": "new", "reported": None}
    assert drift == {
        "status": "pending",
        "reason": None,
        "wantedVersion": 2,
        "reportedVersion": 7,
        "keepsEndpoints": True,
        "differences": [*services, unexpected, missing],
    }


async def test_an_agent_without_a_report_has_no_age_of_drift(ctx: Context, agent: Agent) -> None:
    query = f"query ($u: UUID!) {{ agent(uuid: $u) {{ {DRIFT} }} }}"
    drift = (await ask(ctx, query, u=str(agent.uuid)))["agent"]["drift"]
    assert (drift["status"], drift["reason"]) == ("unknown", "no_target")
    assert (drift["since"], drift["ageSeconds"], drift["differences"]) == (None, None, [])


async def test_followers_see_health_and_drift_change(ctx: Context, agent: Agent) -> None:
    text = """subscription ($u: UUID!) { agentChanged(agentUuid: $u) {
      status drift { status } currentState { endpoints { status } } } }"""
    await set_target_state(ctx, agent.uuid, apps={}, config={"features": {}})
    async with follow(ctx, text, u=str(agent.uuid)) as answers:
        seen = [(await anext(answers)).data]
        for status in ("online", "offline"):
            health = {"press": {"status": status}}
            await report(ctx, agent, apps={}, endpoints_health=health)
            seen.append((await anext(answers)).data)
    told = [each["agentChanged"] for each in seen if each]
    assert [each["status"] for each in told] == ["offline", "online", "online"]
    assert [each["drift"]["status"] for each in told][1:] == ["in_sync", "in_sync"]
    states = [each["currentState"]["endpoints"] for each in told[1:]]
    assert states == [[{"status": "online"}], [{"status": "offline"}]]
