"""What agents reported before, how their endpoints were, and where they differ from their target."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.drift import Drift, drift_of
from core.errors import InvalidInput
from core.paging import OpenSlice, page_size
from models import endpoint_health
from models.agents import Agent
from models.endpoint_health import EndpointHealth
from models.state_comparison import compared_states
from models.state_history import StateRecord, page_of_states
from models.unit_of_work import database_errors

__all__ = ["EndpointHealth", "StateRecord"]


@allow(Permission.DEVICE_READ)
async def list_state_history(
    ctx: Context,
    agent_uuid: UUID,
    first: int,
    after: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> OpenSlice[StateRecord]:
    """Return an agent's reports that changed something, and those that came late, newest first.

    From `since` on and before `until`. Raises NotFound, and InvalidInput for what is out of
    bounds.
    """
    page_size(first)
    if since is not None and until is not None and since >= until:
        raise InvalidInput("from", "must be before `to`")
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_states(agent, since, until, first, after)


@allow(Permission.DEVICE_READ)
async def list_endpoint_health(
    ctx: Context, agent_ids: Collection[int]
) -> dict[int, list[EndpointHealth]]:
    """Return endpoints' health as last reported by agent, in one query."""
    with database_errors():
        rows = await endpoint_health.health_of(ctx.tenant_id, agent_ids)
    by_agent: dict[int, list[EndpointHealth]] = {}
    for row in rows:
        by_agent.setdefault(row.agent_id, []).append(row)
    return by_agent


@allow(Permission.DEVICE_READ)
async def list_drifts(ctx: Context, agent_ids: Collection[int]) -> dict[int, Drift]:
    """Return how far agents are from their target states, in one query."""
    with database_errors():
        states = await compared_states(ctx.tenant_id, agent_ids)
    return {agent_id: drift_of(*pair) for agent_id, pair in states.items()}
