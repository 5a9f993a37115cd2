"""What tests of updates look at, and what the agents in them tell."""

from __future__ import annotations

from typing import Any

import orjson

from core.agent_updates import UpdateState, epoch_ms
from core.context import Context
from models.agent_updates import AgentUpdate
from models.agents import Agent
from models.connection import fetch
from resolvers.agent_events import record_agent_event
from resolvers.agent_updates import UpdateWish, get_agent_update
from resolvers.current_states import report_state
from tests.resolvers.edge import as_agent

WISH = UpdateWish("1.0.600")


async def command_of(agent: Agent) -> Any:
    """Return what the broker is to hold; None for nothing."""
    rows = await fetch(
        "select payload from broker_message where agent_id = $1 and channel = 'agent/update'",
        agent.id,
    )
    return orjson.loads(rows[0]["payload"]) if rows and rows[0]["payload"] else None


async def tell(
    ctx: Context, agent: Agent, type_: str, *, retained: bool = False, **more: Any
) -> bool:
    """Let the agent publish a status of this moment, unless `more` has another."""
    message = {"type": type_, "timestamp": epoch_ms(ctx.clock.now()), "msgId": ctx.ids.secret(8)}
    return await record_agent_event(
        as_agent(ctx, agent), "agent/status", orjson.dumps(message | more), retained=retained
    )


async def report(ctx: Context, agent: Agent, **state: Any) -> None:
    await report_state(as_agent(ctx, agent), {str(agent.uuid): state}, transport="mqtt")


async def state_of(ctx: Context, update: AgentUpdate) -> tuple[UpdateState, str | None]:
    found = await get_agent_update(ctx, update.id)
    return found.state, found.reason


async def audited(ctx: Context, agent: Agent) -> list[str]:
    rows = await fetch(
        "select event_type from audit_event where tenant_id = $1 and agent_uuid = $2"
        " and event_type like 'agent_update%' order by id",
        ctx.tenant_id,
        agent.uuid,
    )
    return [row["event_type"] for row in rows]
