"""Agents as they change: the bus pokes, the row tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from core.access import USE_CASES, check
from core.context import Context
from core.errors import NotFound
from core.events import AgentChanged, agents_topic
from core.paging import PAGE_SIZE_MAX
from core.pubsub.base import Resync
from models.agents import Agent
from resolvers import agents


@asynccontextmanager
async def changes(ctx: Context, uuid: UUID | None) -> AsyncIterator[AsyncIterator[Agent]]:
    """Yield an iterator over agents as they change; with `uuid` that one, at once and then again.

    Raises NotFound, and Unauthenticated or Forbidden as reading agents does.
    """
    check(ctx.caller.role, USE_CASES["agents.get_agent" if uuid else "agents.list_agents"])
    async with ctx.bus.subscribe(agents_topic(ctx.tenant_id)) as events:
        yield _follow(ctx, uuid, events)


async def _follow(
    ctx: Context, uuid: UUID | None, events: AsyncIterator[AgentChanged | Resync]
) -> AsyncIterator[Agent]:
    since = ctx.clock.now()
    if uuid is not None:
        yield await agents.get_agent(ctx, uuid)
    async for event in events:
        now = ctx.clock.now()
        if isinstance(event, Resync):
            async for row in _changed_since(ctx, uuid, since):
                yield row
        elif uuid in {None, event.agent_uuid}:
            row_or_none = await _find(ctx, event.agent_uuid)
            if row_or_none is not None:
                yield row_or_none
        since = now


async def _find(ctx: Context, uuid: UUID) -> Agent | None:
    try:
        return await agents.get_agent(ctx, uuid)
    except NotFound:
        return None  # deleted since


async def _changed_since(ctx: Context, uuid: UUID | None, since: datetime) -> AsyncIterator[Agent]:
    if uuid is not None:
        row = await _find(ctx, uuid)
        if row is not None:
            yield row
        return
    after: str | None = None
    while True:
        page = await agents.list_agents(ctx, agents.AgentFilter(), PAGE_SIZE_MAX, after)
        for row in page.items:
            if row.changed_at >= since:
                yield row
        if not page.has_next:
            return
        after = page.cursors[-1]
