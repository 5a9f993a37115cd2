"""What agents send through the broker."""

from __future__ import annotations

from typing import Any

from core.callers import system_caller
from core.context import Context
from models.agent_traffic import Tally
from resolvers.broker_view import record_traffic
from tests.factories import make_agent
from tests.schema.lists.case import Make


async def _traffic(ctx: Context, number: int) -> dict[str, Any]:
    now = ctx.clock.now()
    tallies = [Tally((await make_agent(ctx)).id, 1, size, now) for size in range(number)]
    await record_traffic(ctx.acting_as(system_caller(0)), tallies)
    return {}


NODE = "agentUuid agentName lastMessageAt messages bytes"

CASES: dict[str, tuple[Make, str]] = {
    "AgentTrafficConnection.nodes": (
        _traffic,
        f"{{ agentTraffic {{ nodes {{ {NODE} }} pageInfo {{ endCursor }} totalCount }} }}",
    ),
    "AgentTrafficConnection.edges": (
        _traffic,
        f"{{ agentTraffic(by: last_message) {{ edges {{ cursor node {{ {NODE} }} }} }} }}",
    ),
}
