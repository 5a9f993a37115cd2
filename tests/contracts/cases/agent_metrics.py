"""What agents' figures and logs were."""

from __future__ import annotations

from typing import Any

from resolvers.current_states import report_metrics
from resolvers.device_logs import upload_logs
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


CASES: dict[str, Case] = {
    "ListAgentMetrics": _figures,
    "ListAgentLogs": _lines,
    "ListAgentLogServices": _lines,
}

ORDER: tuple[str, ...] = ()
