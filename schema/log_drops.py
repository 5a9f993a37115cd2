"""What agents tell of log lines that they had to drop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import OpenSlice
from resolvers import agent_logs, device_logs
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json, Long


@strawberry.type(description="Log lines that an agent never sent, as it told of them.")
class AgentLogDrop:
    """Read off the use case's value."""

    id: Long
    agent_uuid: UUID
    total_count: Long = strawberry.field(description="How many lines; 0 if the agent did not say.")
    summary: Json = strawberry.field(description="In the agent's own words; {} if it was too long.")
    reported_at: datetime | None
    received_at: datetime


@strawberry.type
class AgentLogDropEdge:
    """A summary and its place in the list."""

    cursor: str
    node: AgentLogDrop


@strawberry.type(description="A page of summaries, newest first.")
class AgentLogDropConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[agent_logs.LogDrop]]) -> list[AgentLogDropEdge]:
        """Return the summaries with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentLogDropEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentLogDrop])
    def nodes(self, page: Parent[OpenSlice[agent_logs.LogDrop]]) -> list[agent_logs.LogDrop]:
        """Return the summaries alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[agent_logs.LogDrop]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.type
class LogDropQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AgentLogDropConnection,
        description="What an agent told of log lines that it had to drop, newest first; `first` is "
        "at most 500.",
        directives=[
            requires("agent_logs.list_log_drops"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_log_drops(
        self, info: Info, agent_uuid: UUID, first: int = 50, after: str | None = None
    ) -> OpenSlice[agent_logs.LogDrop]:
        """Return a page of summaries."""
        return await agent_logs.list_log_drops(info.context.ctx, agent_uuid, first, after)


@strawberry.type
class LogDropMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="For agents: tell of log lines that had to be dropped. Returns how many "
        "summaries could be read; at most 200 are.",
        directives=[requires("device_logs.report_log_drops")],
    )
    async def report_log_drops(
        self,
        info: Info,
        agent_uuid: UUID,
        summaries: Annotated[
            list[Json | None] | None,
            strawberry.argument(
                description="Objects, each with its `totalCount`; what is no object is skipped."
            ),
        ] = None,
        reported_at: Annotated[
            Json | None,
            strawberry.argument(
                description="A time, or milliseconds since 1970. The same report of the same time "
                "is a repeat."
            ),
        ] = None,
    ) -> int:
        """Keep the summaries of the calling agent."""
        return await device_logs.report_log_drops(
            info.context.ctx, agent_uuid, summaries or [], reported_at
        )
