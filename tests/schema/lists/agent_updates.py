"""Updates of agents' own software."""

from __future__ import annotations

from typing import Any

import orjson

from core.context import Context
from resolvers.agent_events import record_agent_event
from resolvers.agent_updates import UpdateWish, request_agent_update
from tests.factories import make_agent
from tests.schema.asking import as_agent
from tests.schema.lists.case import Make


async def _updates(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    for at in range(number):
        wish = UpdateWish(f"1.0.{at}", replaces=True)
        await request_agent_update(ctx, agent.uuid, wish)
    return {"u": str(agent.uuid)}


async def _steps(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    update = await request_agent_update(ctx, agent.uuid, UpdateWish("1.0.600"))
    for at in range(number):
        step = orjson.dumps({"type": "update_overdue", "msgId": f"{at}"})
        await record_agent_event(as_agent(ctx, agent), "agent/status", step, retained=False)
    return {"i": str(update.id)}


async def _agents(ctx: Context, number: int) -> dict[str, Any]:
    return {"u": [str((await make_agent(ctx)).uuid) for _ in range(number)]}


async def _strangers(ctx: Context, number: int) -> dict[str, Any]:
    return {"u": [str(ctx.ids.uuid()) for _ in range(number)]}


UPDATE = "id agentUuid version state reason progress { type reason at toldAt }"
ONE = "query($u: UUID!) { agentUpdates(filter: { agentUuid: $u }) "
MANY = """
  mutation($u: [UUID!]!) {
    requestAgentUpdates(agentUuids: $u, update: { version: "1.0.1", replace: true })
"""

CASES: dict[str, tuple[Make, str]] = {
    "AgentUpdateConnection.nodes": (_updates, f"{ONE} {{ totalCount nodes {{ {UPDATE} }} }} }}"),
    "AgentUpdateConnection.edges": (
        _updates,
        f"{ONE} {{ edges {{ cursor node {{ {UPDATE} }} }} }} }}",
    ),
    "AgentUpdate.progress": (
        _steps,
        f"query($i: UUID!) {{ agentUpdate(id: $i) {{ {UPDATE} }} }}",
    ),
    "AgentUpdateRequests.updates": (_agents, f"{MANY} {{ updates {{ {UPDATE} }} }} }}"),
    "AgentUpdateRequests.refused": (
        _strangers,
        f"{MANY} {{ refused {{ agentUuid message }} }} }}",
    ),
}
