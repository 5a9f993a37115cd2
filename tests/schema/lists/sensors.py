"""Sensors of one agent and of many."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from core.context import Context
from core.endpoint_health import read_health
from core.sensor_edits import SensorValues
from core.sensors import EndpointStatus, Standing
from models.agents import Agent
from models.endpoint_health import HISTORY, put_health
from models.endpoints import Kept, put_endpoints
from models.open_days import open_day
from resolvers import current_states, sensor_changes
from tests.factories import make_agent
from tests.schema.asking import as_agent, record
from tests.schema.lists.case import Make


async def _add(ctx: Context, agent: Agent, name: str) -> str:
    values = SensorValues(name=name, protocol="mqtt", connection={"topic": "hall/1"})
    change = await sensor_changes.add_sensor(ctx, agent.uuid, values)
    assert change.sensor is not None
    return str(change.sensor.uuid)


async def _report(ctx: Context, agent: Agent, **members: Any) -> None:
    body = {str(agent.uuid): {"version": 2, **members}}
    await current_states.report_state(as_agent(ctx, agent), body, transport="http")


async def _over_agents(ctx: Context, number: int) -> dict[str, Any]:
    """Give each sensor an agent of its own, with health, a device behind it and a reading."""
    for at in range(number):
        agent = await make_agent(ctx, name=f"agent {at}")
        uuid = await _add(ctx, agent, "gauge")
        devices = [{"uuid": uuid, "endpoint_uuid": uuid, "name": "gauge"}]
        health = {"gauge": {"status": "online"}}
        await _report(ctx, agent, devices=devices, endpoints_health=health)
        await record(ctx, agent, "temp", [(ctx.clock.now(), 1.5)], device="gauge")
    return {}


async def _of_one(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    for at in range(number):
        await _add(ctx, agent, f"gauge {at}")
    return {"u": str(agent.uuid)}


async def _devices(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    uuid = await _add(ctx, agent, "gauge")
    devices = [{"uuid": str(at), "endpoint_uuid": uuid} for at in range(number)]
    await _report(ctx, agent, devices=devices)
    return {"u": str(agent.uuid)}


async def _protocols(ctx: Context, number: int) -> dict[str, Any]:
    """Make one sensor of each of so many protocols."""
    agent, now = await make_agent(ctx), ctx.clock.now()
    await _add(ctx, agent, "gauge")
    pending = Standing(EndpointStatus.PENDING)
    kept = [Kept(ctx.ids.uuid(), "x", f"protocol {at}", pending, {}) for at in range(number)]
    await put_endpoints(ctx.tenant_id, agent.id, kept, now, None)
    return {"u": str(agent.uuid)}


async def _records(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    said = read_health({"gauge": {"status": "online", "protocol": "mqtt"}})
    for at in range(number):
        moment = ctx.clock.now() - timedelta(minutes=at)
        await open_day(HISTORY, moment)
        await put_health(agent.tenant_id, agent.id, said, moment)
    return {"u": str(agent.uuid)}


SENSOR = (
    "uuid agentUuid name protocol status enabled connection dataPoints lastTelemetryAt childCount"
    " health { status lastTelemetryAt } children { uuid name }"
)


def _of_agent(rest: str) -> str:
    return f"query ($u: UUID!) {{ {rest} }}"


_HISTORY = 'adapterHistory(agentUuid: $u, protocol: "mqtt", name: "gauge")'
CASES: dict[str, tuple[Make, str]] = {
    "SensorConnection.nodes": (
        _over_agents,
        f"{{ sensors {{ nodes {{ {SENSOR} }} totalCount pageInfo {{ endCursor }} }} }}",
    ),
    "SensorConnection.edges": (
        _over_agents,
        f"{{ sensors {{ edges {{ cursor node {{ {SENSOR} }} }} }} }}",
    ),
    "Sensor.children": (
        _devices,
        _of_agent('sensor(agentUuid: $u, name: "gauge") { children { uuid name } }'),
    ),
    "SensorHealthOverview.sensors": (
        _of_one,
        _of_agent(
            "sensorHealth(agentUuid: $u) { summary { total byProtocol }"
            " sensors { name status connection lastTelemetryAt } }"
        ),
    ),
    "Query.sensorCounts": (
        _protocols,
        _of_agent("sensorCounts(filter: { agentUuid: $u }) { protocol status count }"),
    ),
    "AdapterHistory.nodes": (_records, _of_agent(f"{_HISTORY} {{ nodes {{ at status }} }}")),
    "AdapterHistory.edges": (
        _records,
        _of_agent(f"{_HISTORY} {{ edges {{ cursor node {{ at }} }} pageInfo {{ endCursor }} }}"),
    ),
}
