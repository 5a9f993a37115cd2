"""What an agent last reported, over REST: shape, spelling, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from resolvers.current_states import report_state
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent, make_tenant
from tests.schema.asking import as_agent

REPORT: dict[str, Any] = {
    "version": 7,
    "apps": {"1001": {"appId": 1001}},
    "config": {"endpoints": [{"id": "6a1d", "connectionString": '{"password":"open sesame"}'}]},
    "os_version": "Debian GNU/Linux 12 (bookworm)",
    "architecture": "x64",
    "agent_version": "1.0.547",
    "local_ip": "192.0.2.10",
    "uptime": 3600,
    "cpu_usage": 23,
    "temperature": 47,
    "memory_usage": 412,
    "memory_total": 3906,
    "storage_usage": 8120,
    "storage_total": 29600,
}
INTERFACE = {
    "name": "eth0",
    "ip4": "192.0.2.10",
    "ip6": "2001:db8::10",
    "mac": "02:00:5e:00:53:01",
    "type": "wired",
    "default": True,
    "virtual": False,
    "operstate": "up",
}
SYSTEM = ("os_version", "architecture", "agent_version", "local_ip", "uptime", "cpu_usage")
SYSTEM_SIZES = ("temperature", "memory_usage", "memory_total", "storage_usage", "storage_total")


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def get(ctx: Context, path: str) -> httpx.Response:
    _, token = await sign_in(ctx, role="viewer")
    async with Api(ctx).client(authorization=token) as client:
        return await client.get(f"/api/v1/agents/{path}")


async def test_tells_the_state_in_the_words_of_reports(ctx: Context, agent: Agent) -> None:
    told = REPORT | {"network_interfaces": [INTERFACE]}
    await report_state(as_agent(ctx, agent), told, transport="http")
    answer = await get(ctx, f"{agent.uuid}/current-state")
    body = answer.json()
    assert answer.status_code == 200
    assert body.keys() == {"apps", "config", "version", "system_info", "reported_at"}
    assert (body["apps"], body["version"]) == (REPORT["apps"], 7)
    assert body["reported_at"].endswith("Z")
    (endpoint,) = body["config"]["endpoints"]
    assert json.loads(endpoint["connectionString"]) == {"password": "***"}
    expected = {name: REPORT[name] for name in (*SYSTEM, *SYSTEM_SIZES)}
    interface = INTERFACE | {"ssid": None, "signalLevel": None}
    assert body["system_info"] == expected | {"network_interfaces": [interface]}
    whole = (await get(ctx, f"{agent.uuid}")).json()
    assert whole["current_state"] == body


async def test_an_agent_that_has_not_reported_has_no_state(ctx: Context, agent: Agent) -> None:
    answer = await get(ctx, f"{agent.uuid}/current-state")
    assert answer.status_code == 404
    assert answer.json()["error"] == "No state reported yet"
    await report_state(as_agent(ctx, agent), {"apps": {}}, transport="http")  # a replay
    assert (await get(ctx, f"{agent.uuid}/current-state")).status_code == 404


async def test_another_tenants_agent_has_none_either(ctx: Context, agent: Agent) -> None:
    await report_state(as_agent(ctx, agent), REPORT, transport="http")
    other = await make_tenant(ctx.clock, ctx.ids)
    stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    answer = await get(stranger, f"{agent.uuid}/current-state")
    assert answer.status_code == 404
