"""What the gateways' own figures were."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.errors import InvalidInput
from core.paging import OpenSlice
from resolvers.agent_metrics import (
    PERIODS,
    POINTS_MAX,
    ROWS_MAX,
    MetricsPoint,
    MetricsRecord,
    list_agent_metrics,
    summarise_agent_metrics,
)
from schema.agent_types import AgentMetrics
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json

PERIOD = f"The time until now: {', '.join(PERIODS)}."


@strawberry.type(
    description="The gateway's figures as one report told them; null what it left out. There is "
    "one record at most for ten seconds."
)
class AgentMetricsRecord(AgentMetrics):
    """Read off the use case's value."""

    agent_uuid: UUID
    recorded_at: datetime
    top_processes: Json | None = strawberry.field(description="As the gateway lists them.")

    @classmethod
    def of(cls, row: MetricsRecord) -> AgentMetricsRecord:
        """Return the same as a type of the schema, which a union needs."""
        return cls(**{each.name: getattr(row, each.name) for each in fields(row)})


@strawberry.type(description="Means of the gateway's figures over one bucket.")
class AgentMetricsPoint:
    """Read off the use case's value."""

    recorded_at: datetime = strawberry.field(description="Where the bucket begins.")
    cpu_usage: float | None
    cpu_temp: float | None
    memory_usage: float | None
    storage_usage: float | None

    @classmethod
    def of(cls, row: MetricsPoint) -> AgentMetricsPoint:
        """Return the same as a type of the schema, which a union needs."""
        return cls(**{each.name: getattr(row, each.name) for each in fields(row)})


AgentMetricsEntry = Annotated[
    AgentMetricsRecord | AgentMetricsPoint,
    strawberry.union("AgentMetricsEntry", description="One record, or the means of several."),
]


@strawberry.type
class AgentMetricsEdge:
    """A record and its place in the list."""

    cursor: str
    node: AgentMetricsRecord


@strawberry.type(description="A page of records, newest first. They are too many to be counted.")
class AgentMetricsConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[MetricsRecord]]) -> list[AgentMetricsEdge]:
        """Return the records with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentMetricsEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentMetricsRecord])
    def nodes(self, page: Parent[OpenSlice[MetricsRecord]]) -> list[MetricsRecord]:
        """Return the records alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[MetricsRecord]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.type(
    description="The newest records of an agent, newest first; or means, oldest first."
)
class AgentMetricsHistory:
    """Either form."""

    agent_uuid: UUID
    metrics: list[AgentMetricsEntry]


@strawberry.type
class AgentMetricsQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AgentMetricsConnection,
        description="What the gateway's own figures were, newest first; `first` is at most 1000.",
        directives=[
            requires("agent_metrics.list_agent_metrics"),
            list_size(100, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_metrics(
        self,
        info: Info,
        agent_uuid: UUID,
        since: Annotated[
            datetime | None, strawberry.argument(name="from", description="Default: the first.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(name="to", description="Exclusive. Default: now.")
        ] = None,
        first: int = 100,
        after: str | None = None,
    ) -> OpenSlice[MetricsRecord]:
        """Return a page of records."""
        ctx = info.context.ctx
        return await list_agent_metrics(ctx, agent_uuid, first, after, since, until)

    @strawberry.field(
        graphql_type=list[AgentMetricsPoint],
        description="Means of the gateway's own figures, 60 at most, oldest first.",
        directives=[requires("agent_metrics.summarise_agent_metrics"), list_size(POINTS_MAX)],
    )
    async def agent_metrics_summary(
        self,
        info: Info,
        agent_uuid: UUID,
        period: Annotated[str, strawberry.argument(description=PERIOD)] = "30min",
    ) -> list[MetricsPoint]:
        """Return means by buckets."""
        return await summarise_agent_metrics(info.context.ctx, agent_uuid, period)

    @strawberry.field(
        description="For clients that ask for either form in one place: the newest records, "
        "`limit` (1 to 1000) of them, or with `period` what `agentMetricsSummary` tells.",
        directives=[
            requires("agent_metrics.list_agent_metrics"),
            list_size(100, argument="limit", fields=["metrics"]),
        ],
    )
    async def agent_metrics_history(
        self,
        info: Info,
        agent_uuid: UUID,
        limit: int = 100,
        period: Annotated[str | None, strawberry.argument(description=PERIOD)] = None,
    ) -> AgentMetricsHistory:
        """Return records or means."""
        ctx, found = info.context.ctx, AgentMetricsHistory(agent_uuid=agent_uuid, metrics=[])
        if not 1 <= limit <= ROWS_MAX:
            raise InvalidInput("limit", f"must be between 1 and {ROWS_MAX}", limit=ROWS_MAX)
        if period is None:
            page = await list_agent_metrics(ctx, agent_uuid, limit)
            found.metrics += map(AgentMetricsRecord.of, page.items)
        else:
            points = await summarise_agent_metrics(ctx, agent_uuid, period)
            found.metrics += map(AgentMetricsPoint.of, points)
        return found
