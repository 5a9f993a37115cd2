"""Updates of agents' own software."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated, ClassVar, Final
from uuid import UUID

import strawberry

from core.access import USE_CASES, check
from core.context import Context
from core.errors import NotFound
from core.events import AgentUpdateChanged, agent_updates_topic
from core.feeds import Feed
from core.paging import Slice
from core.pubsub.base import Resync
from models import agent_updates as rows
from models.patience import patiently
from resolvers import agent_updates, agents
from schema.agent_update_types import (
    AgentUpdate,
    AgentUpdateConnection,
    AgentUpdateFilter,
    AgentUpdateInput,
    AgentUpdateRequests,
)
from schema.context import Info
from schema.directives import list_size, requires

GAP: Final = timedelta(minutes=1)
"""After a gap in the events, what ended within this time is told again."""


class AgentUpdateFeed(Feed[rows.AgentUpdate, None]):
    """Updates as they move, from now on."""

    has_prelude: ClassVar[bool] = False

    def __init__(self, ctx: Context, agent_uuid: UUID | None) -> None:
        self._ctx = ctx
        self._agent_uuid = agent_uuid

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[rows.AgentUpdate]]:
        """Listen on the bus; after a gap in it the rows themselves are asked."""
        async with (
            self._ctx.bus.subscribe(agent_updates_topic(self._ctx.tenant_id)) as events,
            aclosing(self._moved(events)) as found,
        ):
            yield found

    async def prelude(self, since: None) -> tuple[None, AsyncGenerator[rows.AgentUpdate, None]]:
        """Return nothing: who joins gets what happens from then on."""
        return None, _none()

    def beyond(self, event: rows.AgentUpdate, mark: None) -> rows.AgentUpdate | None:
        """Return the event."""
        return event

    def is_past(self, event: rows.AgentUpdate, mark: None) -> bool:
        """Say that all are."""
        return True

    def key(self, event: rows.AgentUpdate) -> Hashable:
        """Return the update's id: its newest state is all that counts."""
        return event.id

    async def _moved(
        self, events: AsyncIterator[AgentUpdateChanged | Resync]
    ) -> AsyncGenerator[rows.AgentUpdate, None]:
        async for event in events:
            if isinstance(event, Resync):
                async for row in self._missed():
                    yield row
            elif self._agent_uuid in {None, event.agent_uuid}:
                try:
                    yield await patiently(
                        partial(agent_updates.get_agent_update, self._ctx, event.update_id)
                    )
                except NotFound:
                    continue  # deleted with its agent

    async def _missed(self) -> AsyncGenerator[rows.AgentUpdate, None]:
        since = self._ctx.clock.now() - GAP
        listing = partial(agent_updates.list_moved_updates, self._ctx, since, self._agent_uuid)
        page = await patiently(listing)
        while page:
            for row in page:
                yield row
            page = await patiently(partial(listing, after=page[-1]))


async def _none() -> AsyncGenerator[rows.AgentUpdate, None]:
    nothing: list[rows.AgentUpdate] = []
    for row in nothing:
        yield row


@strawberry.type
class AgentUpdateQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AgentUpdate | None,
        description="One update; null with an error NOT_FOUND when there is none.",
        directives=[requires("agent_updates.get_agent_update")],
    )
    async def agent_update(
        self,
        info: Info,
        id: UUID,  # noqa: A002  # the name in the contract
    ) -> rows.AgentUpdate:
        """Return one update."""
        return await agent_updates.get_agent_update(info.context.ctx, id)

    @strawberry.field(
        graphql_type=AgentUpdateConnection,
        description="Updates of agents' software, newest first; `first` is at most 500.",
        directives=[
            requires("agent_updates.list_agent_updates"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_updates(
        self,
        info: Info,
        filter: AgentUpdateFilter | None = None,  # noqa: A002  # the name in the contract
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.AgentUpdate]:
        """Return a page of updates."""
        wanted = (filter or AgentUpdateFilter()).to_filter()
        return await agent_updates.list_agent_updates(info.context.ctx, wanted, first, after)


@strawberry.type
class AgentUpdateMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=AgentUpdate,
        description="Ask an agent to update its own software. CONFLICT when it is deactivated, or "
        "has an open update that is not to be replaced or has begun.",
        directives=[requires("agent_updates.request_agent_update")],
    )
    async def request_agent_update(
        self, info: Info, agent_uuid: UUID, update: AgentUpdateInput
    ) -> rows.AgentUpdate:
        """Return the new update."""
        wish = update.to_wish()
        return await agent_updates.request_agent_update(info.context.ctx, agent_uuid, wish)

    @strawberry.mutation(
        graphql_type=AgentUpdateRequests,
        description="Ask many agents to update their own software: all that can be asked, in one "
        "transaction.",
        directives=[
            requires("agent_updates.request_agent_updates"),
            list_size(500, argument="agentUuids", fields=["updates", "refused"]),
        ],
    )
    async def request_agent_updates(
        self,
        info: Info,
        agent_uuids: Annotated[list[UUID], strawberry.argument(description="1 to 500.")],
        update: AgentUpdateInput,
    ) -> agent_updates.UpdateRequests:
        """Return what became of it."""
        wish = update.to_wish()
        return await agent_updates.request_agent_updates(info.context.ctx, agent_uuids, wish)

    @strawberry.mutation(
        graphql_type=AgentUpdate,
        description="Call an open update off and take the command back. An agent that has it may "
        "still obey. CONFLICT when it has begun or is over.",
        directives=[requires("agent_updates.cancel_agent_update")],
    )
    async def cancel_agent_update(
        self,
        info: Info,
        id: UUID,  # noqa: A002  # the name in the contract
        agent_uuid: Annotated[
            UUID | None, strawberry.argument(description="NOT_FOUND unless it is of this agent.")
        ] = None,
    ) -> rows.AgentUpdate:
        """Return the update as it is now."""
        return await agent_updates.cancel_agent_update(info.context.ctx, id, agent_uuid)


@strawberry.type
class AgentUpdateSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=AgentUpdate,
        description="An update of an agent's software, whenever it has moved.",
        directives=[requires("agent_updates.get_agent_update")],
    )
    async def agent_update_changed(
        self,
        info: Info,
        agent_uuid: Annotated[
            UUID | None, strawberry.argument(description="Default: all agents.")
        ] = None,
    ) -> AgentUpdateFeed:
        """Return the feed."""
        ctx = info.context.ctx
        if agent_uuid is None:
            check(ctx.caller, USE_CASES["agent_updates.get_agent_update"])
        else:
            await agents.get_agent(ctx, agent_uuid)
        return AgentUpdateFeed(ctx, agent_uuid)
