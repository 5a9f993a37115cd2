"""Versions of target states."""

from __future__ import annotations

from typing import Any

from core.context import Context
from resolvers.target_states import set_target_state
from tests.factories import make_agent
from tests.schema.lists.case import Make


async def _versions(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    for n in range(number):
        config = {str(each): n for each in range(number)}
        await set_target_state(ctx, agent.uuid, apps={}, config=config)
    return {"u": str(agent.uuid)}


VERSION = "version author comment apps diff { changes { path op before after } isComplete }"
OF_AGENT = "query ($u: UUID!) {{ targetStateVersions(agentUuid: $u, first: 20) {{ {} }} }}"

CASES: dict[str, tuple[Make, str]] = {
    "TargetStateVersionConnection.nodes": (
        _versions,
        OF_AGENT.format(f"nodes {{ {VERSION} }} pageInfo {{ endCursor }}"),
    ),
    "TargetStateVersionConnection.edges": (
        _versions,
        OF_AGENT.format(f"edges {{ cursor node {{ {VERSION} }} }}"),
    ),
    "TargetStateDiff.changes": (
        _versions,
        OF_AGENT.format("nodes { diff { changes { path } } }"),
    ),
}
