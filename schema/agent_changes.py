"""Agents as they change: the bus pokes, the row tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from core.access import USE_CASES, check
from core.context import Context
from core.errors import NotFound
from core.events import AgentChanged, agents_topic
from core.feeds import Feed
from core.paging import PAGE_SIZE_MAX
from core.pubsub.base import Resync
from models.agents import Agent
from models.patience import patiently
from resolvers import agents

CLOCKS_APART: Final = timedelta(seconds=5)
"""How far the clocks of two processes may differ without a change being overlooked."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a follower has been told: all changes until `at`, and the state of some agents."""

    at: datetime
    changed_at: dict[UUID, datetime]


async def follow_agents(ctx: Context, uuid: UUID | None) -> AgentFeed:
    """Return the feed of all agents as they change, or of the one of this uuid.

    Raises NotFound, and Unauthenticated or Forbidden as reading agents does.
    """
    if uuid is None:
        check(ctx.caller, USE_CASES["agents.list_agents"])
    else:
        await agents.get_agent(ctx, uuid)
    return AgentFeed(ctx, uuid)


class AgentFeed(Feed[Agent, Seen]):
    """Agents, whenever an operator could see a change; a single one begins as it is."""

    def __init__(self, ctx: Context, uuid: UUID | None) -> None:
        self._ctx = ctx
        self._uuid = uuid

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[Agent]]:
        """Listen on the bus; after a gap in it the rows themselves are asked."""
        async with (
            self._ctx.bus.subscribe(agents_topic(self._ctx.tenant_id)) as events,
            aclosing(self._changed(events)) as rows,
        ):
            yield rows

    async def prelude(self, since: Seen | None) -> tuple[Seen, AsyncGenerator[Agent, None]]:
        """Return the one agent as it is, or what has changed since a mark."""
        now = self._ctx.clock.now()
        if self._uuid is not None:
            found = [await agents.get_agent(self._ctx, self._uuid)]
        elif since is not None:
            found = [row async for row in self._since(since.at)]
        else:
            found = []
        return Seen(now, {row.uuid: row.changed_at for row in found}), _each(found)

    def beyond(self, event: Agent, mark: Seen) -> Agent | None:
        """Return the agent unless a later state of it has been told."""
        told = mark.changed_at.get(event.uuid)
        return event if told is None or told <= event.changed_at else None

    def is_past(self, event: Agent, mark: Seen) -> bool:
        """Whether no agent's later state can have been told beforehand."""
        return not mark.changed_at or event.changed_at > mark.at + CLOCKS_APART

    def key(self, event: Agent) -> Hashable:
        """Return the agent's uuid: its newest state is all that counts."""
        return event.uuid

    async def _changed(
        self, events: AsyncIterator[AgentChanged | Resync]
    ) -> AsyncGenerator[Agent, None]:
        since = self._ctx.clock.now()
        async for event in events:
            now = self._ctx.clock.now()
            if isinstance(event, AgentChanged) and event.agent_uuid is not None:
                if self._uuid in {None, event.agent_uuid}:
                    row = await self._find(event.agent_uuid)
                    if row is not None:
                        yield row
            elif self._uuid is not None:
                row = await self._find(self._uuid)
                if row is not None:
                    yield row
            else:
                async for row in self._since(since):
                    yield row
            since = now

    async def _find(self, uuid: UUID) -> Agent | None:
        try:
            return await patiently(partial(agents.get_agent, self._ctx, uuid))
        except NotFound:
            if self._uuid is not None:
                raise  # deleted: there is nothing left to follow
            return None

    async def _since(self, since: datetime) -> AsyncGenerator[Agent, None]:
        after_id = 0
        while True:
            page = await patiently(
                partial(
                    agents.list_agents_changed_since,
                    self._ctx,
                    since - CLOCKS_APART,
                    PAGE_SIZE_MAX,
                    after_id,
                )
            )
            for row in page:
                yield row
            if len(page) < PAGE_SIZE_MAX:
                return
            after_id = page[-1].id


async def _each(rows: list[Agent]) -> AsyncGenerator[Agent, None]:
    for row in rows:
        yield row
