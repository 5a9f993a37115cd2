"""Agents: the software on edge gateways."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import OpenSlice, Slice
from models import agents as rows
from resolvers import agents
from resolvers.agents import AgentPage as NumberedAgents
from schema.agent_changes import AgentFeed, follow_agents
from schema.agent_filters import AgentFilter, AgentSort
from schema.agent_types import Agent
from schema.context import Info
from schema.directives import list_size, requires

__all__ = ["Agent", "PageInfo"]


@strawberry.type
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool
    end_cursor: str | None = strawberry.field(description="Give it as `after` for the next page.")

    @classmethod
    def of(cls, page: Slice[Any] | OpenSlice[Any]) -> PageInfo:
        """Return the place of a page."""
        return cls(
            has_next_page=page.has_next, end_cursor=page.cursors[-1] if page.cursors else None
        )


@strawberry.type
class AgentEdge:
    """An agent and its place in the list."""

    cursor: str
    node: Agent


@strawberry.type(description="A page of agents.")
class AgentConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Agent]]) -> list[AgentEdge]:
        """Return the agents with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Agent])
    def nodes(self, page: Parent[Slice[rows.Agent]]) -> list[rows.Agent]:
        """Return the agents alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Agent]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many agents match in all.")
    def total_count(self, page: Parent[Slice[rows.Agent]]) -> int:
        """Return the number of matches on all pages."""
        return page.total


@strawberry.type
class PageNumbers:
    """A numbered page's place."""

    page: int
    limit: int
    total: int
    pages: int


@strawberry.type(description="A numbered page of agents. `agents` pages better.")
class AgentPage:
    """Read off the use case's AgentPage."""

    @strawberry.field(graphql_type=list[Agent])
    def nodes(self, page: Parent[NumberedAgents]) -> list[rows.Agent]:
        """Return the agents."""
        return page.items

    @strawberry.field
    def pagination(self, page: Parent[NumberedAgents]) -> PageNumbers:
        """Return the page's place."""
        pages = -(-page.total // page.limit)
        return PageNumbers(page=page.page, limit=page.limit, total=page.total, pages=pages)


@strawberry.type
class AgentQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Agent | None,
        description="One agent; null with an error NOT_FOUND when there is none of this uuid.",
        directives=[requires("agents.get_agent")],
    )
    async def agent(self, info: Info, uuid: UUID) -> rows.Agent:
        """Return one agent."""
        return await agents.get_agent(info.context.ctx, uuid)

    @strawberry.field(
        graphql_type=AgentConnection,
        description="Agents, by name unless told otherwise; `first` is at most 500.",
        directives=[
            requires("agents.list_agents"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agents(
        self,
        info: Info,
        filter: AgentFilter | None = None,  # noqa: A002  # the name in the contract
        first: int = 50,
        after: str | None = None,
        sort: AgentSort | None = None,
    ) -> Slice[rows.Agent]:
        """Return a page of agents."""
        wanted, order = (filter or AgentFilter()).to_filter(), (sort or AgentSort()).to_sort()
        return await agents.list_agents(info.context.ctx, wanted, first, after, order)

    @strawberry.field(
        graphql_type=AgentPage,
        description="Agents by numbered pages, for clients that need them.",
        directives=[
            requires("agents.page_agents"),
            list_size(10, argument="limit", fields=["nodes"]),
        ],
    )
    async def agent_page(
        self,
        info: Info,
        filter: AgentFilter | None = None,  # noqa: A002  # as above
        page: int = 1,
        limit: int = 10,
        sort: AgentSort | None = None,
    ) -> NumberedAgents:
        """Return a numbered page of agents."""
        wanted, order = (filter or AgentFilter()).to_filter(), (sort or AgentSort()).to_sort()
        return await agents.page_agents(info.context.ctx, wanted, page, limit, order)


@strawberry.type
class AgentSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=Agent,
        description="An agent, whenever an operator could see a change of it. With `agentUuid` it "
        "starts with the agent as it is.",
        directives=[requires("agents.get_agent")],
    )
    async def agent_changed(
        self,
        info: Info,
        agent_uuid: Annotated[
            UUID | None, strawberry.argument(description="Default: all agents.")
        ] = None,
    ) -> AgentFeed:
        """Return the feed."""
        return await follow_agents(info.context.ctx, agent_uuid)
