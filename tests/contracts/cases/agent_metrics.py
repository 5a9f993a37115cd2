"""What agents' figures and logs were."""

from __future__ import annotations

from typing import Any

from resolvers.current_states import report_metrics
from resolvers.device_logs import report_log_drops, upload_logs
from tests.contracts.cases.world import Case, World
from tests.schema.asking import as_agent


async def _figures(world: World) -> dict[str, Any]:
    figures = {"cpu_usage": 12.5, "top_processes": [{"name": "made-up"}]}
    await report_metrics(as_agent(world.ctx, world.agent), figures)
    return {}


async def _lines(world: World) -> dict[str, Any]:
    body = b'{"message": "hello", "serviceName": "web"}\n'
    await upload_logs(as_agent(world.ctx, world.agent), world.agent.uuid, "b0", body)
    return {}


async def _drops(world: World) -> dict[str, Any]:
    own = as_agent(world.ctx, world.agent)
    await report_log_drops(own, world.agent.uuid, [{"totalCount": 3}], "2026-03-01T10:00:00Z")
    return {}


CASES: dict[str, Case] = {
    "ListAgentMetrics": _figures,
    "SearchLogs": _lines,
    "ListAgentLogDrops": _drops,
    "ReportLogDrops": lambda _: {"json": {"summaries": [{"totalCount": 2}]}},
    "ListAgentLogs": _lines,
    "ListAgentLogServices": _lines,
}

ORDER: tuple[str, ...] = ()
