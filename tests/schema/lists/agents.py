"""Agents, readings and provisioning keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from core.context import Context
from models.agents import Agent
from resolvers.current_states import report_state
from resolvers.provisioning_keys import create_provisioning_key
from tests.factories import make_agent
from tests.schema.asking import as_agent, record
from tests.schema.lists.case import Make


async def _agents(ctx: Context, number: int) -> dict[str, Any]:
    for at in range(number):
        agent = await make_agent(ctx, name=f"agent {at}")
        await _readings(ctx, agent, 1)
        health = {"press": {"status": "online"}}
        report = {"version": 1, "endpoints_health": health}
        await report_state(as_agent(ctx, agent), report, transport="mqtt")
    return {}


async def _series(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    await _readings(ctx, agent, number)
    return {"u": str(agent.uuid)}


async def _readings(ctx: Context, agent: Agent, series: int) -> None:
    now = ctx.clock.now()
    for at in range(series):
        times = [now - timedelta(seconds=second) for second in range(3)]
        await record(ctx, agent, f"metric {at}", [(time, 1.0) for time in times])


async def _keys(ctx: Context, number: int) -> dict[str, Any]:
    for _ in range(number):
        await create_provisioning_key(ctx)
    return {}


AGENT = """
  name latest { value source { device } } targetState { version } targetAppsCount
  drift { status } currentState { version systemInfo { ip } endpoints { name } }
  currentAppsCount lastReportedAt metrics { cpuUsage }
"""
SERIES = "query($u: UUID!) { series(select: {agentUuids: [$u]}) { device values %s } }"

CASES: dict[str, tuple[Make, str]] = {
    "AgentConnection.nodes": (_agents, f"{{ agents {{ totalCount nodes {{ {AGENT} }} }} }}"),
    "AgentConnection.edges": (_agents, f"{{ agents {{ edges {{ cursor node {{ {AGENT} }} }} }} }}"),
    "AgentPage.nodes": (_agents, f"{{ agentPage(limit: 100) {{ nodes {{ {AGENT} }} }} }}"),
    "Agent.latest": (
        _series,
        "query($u: UUID!) { agent(uuid: $u) { latest { metric value source { device } } } }",
    ),
    "Query.series": (_series, SERIES % ""),
    "Series.points": (_series, SERIES % "points { time value }"),
    "History.series": (
        _series,
        "query($u: UUID!) { history(agentUuid: $u) { series { metric source { device } } } }",
    ),
    "ProvisioningKeyConnection.nodes": (_keys, "{ provisioningKeys { totalCount nodes { id } } }"),
    "ProvisioningKeyConnection.edges": (
        _keys,
        "{ provisioningKeys { edges { cursor node { id } } pageInfo { endCursor } } }",
    ),
}
"""For each field of the schema that is a list of objects: rows, and a query that shows it."""
