"""Agents' figures and logs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from core.context import Context
from models.agent_metrics import append_agent_metrics
from models.open_days import open_day
from resolvers.device_logs import report_log_drops, upload_logs
from tests.factories import make_agent
from tests.schema.asking import as_agent
from tests.schema.lists.case import Make


async def _figures(ctx: Context, number: int) -> dict[str, Any]:
    """Write figures a minute apart: each has a bucket of its own, the newest is of a minute ago."""
    agent, now = await make_agent(ctx), ctx.clock.now()
    for at in range(1, number + 1):
        moment = now - timedelta(minutes=at)
        await open_day("agent_metric", moment)
        processes = [{"name": "made-up"}]
        await append_agent_metrics(agent.tenant_id, agent.id, {"cpu_usage": 1}, processes, moment)
    return {"u": str(agent.uuid)}


async def _lines(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    body = b'{"message": "hello", "serviceName": "web"}\n' * number
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, body)
    return {"u": str(agent.uuid)}


async def _drops(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    await report_log_drops(as_agent(ctx, agent), agent.uuid, [{"totalCount": 1}] * number)
    return {"u": str(agent.uuid)}


RECORD = "agentUuid recordedAt cpuUsage uptimeSeconds topProcesses"
LINE = "id agentUuid at level service message meta receivedAt"


def _of_agent(rest: str) -> str:
    return f"query ($u: UUID!) {{ {rest} }}"


CASES: dict[str, tuple[Make, str]] = {
    "AgentMetricsConnection.nodes": (
        _figures,
        _of_agent(
            f"agentMetrics(agentUuid: $u) {{ nodes {{ {RECORD} }} pageInfo {{ endCursor }} }}"
        ),
    ),
    "AgentMetricsConnection.edges": (
        _figures,
        _of_agent(f"agentMetrics(agentUuid: $u) {{ edges {{ cursor node {{ {RECORD} }} }} }}"),
    ),
    "Query.agentMetricsSummary": (
        _figures,
        _of_agent("agentMetricsSummary(agentUuid: $u) { recordedAt cpuUsage cpuTemp }"),
    ),
    "AgentMetricsHistory.metrics": (
        _figures,
        _of_agent(
            "agentMetricsHistory(agentUuid: $u)"
            f" {{ metrics {{ __typename ... on AgentMetricsRecord {{ {RECORD} }} }} }}"
        ),
    ),
    "AgentLogConnection.nodes": (
        _lines,
        _of_agent(f"agentLogs(agentUuid: $u) {{ nodes {{ {LINE} }} pageInfo {{ endCursor }} }}"),
    ),
    "AgentLogConnection.edges": (
        _lines,
        _of_agent(f"agentLogs(agentUuid: $u) {{ edges {{ cursor node {{ {LINE} }} }} }}"),
    ),
    "AgentLogDropConnection.nodes": (
        _drops,
        _of_agent("agentLogDrops(agentUuid: $u) { nodes { id totalCount summary receivedAt } }"),
    ),
    "AgentLogDropConnection.edges": (
        _drops,
        _of_agent("agentLogDrops(agentUuid: $u) { edges { cursor node { id agentUuid } } }"),
    ),
}
