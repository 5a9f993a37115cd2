"""What is told of a fleet, wherever it is told."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from models import agents as agent_rows
from models import fleets as rows
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import FleetStatus, FleetType
from schema.loaders import MembersKey
from schema.scalars import Json

if TYPE_CHECKING:
    from schema.agent_types import Agent


@strawberry.type(description="How many agents a fleet has, by what they are.")
class FleetCounts:
    """Read off the use case's value."""

    agents: int
    online: int
    active: int = strawberry.field(description="Those that may use the system.")

    @strawberry.field
    def offline(self, counts: Parent[rows.FleetCounts]) -> int:
        """Return the others."""
        return counts.agents - counts.online


@strawberry.type
class NoBilling:
    """What clients of an older API read of a fleet."""

    customer_id: str | None = strawberry.field(
        resolver=lambda: None, description="Always null: fleets are not billed."
    )
    billing_enabled: bool = strawberry.field(
        resolver=lambda: False, description="Always false: fleets are not billed."
    )
    current_cost: float = strawberry.field(
        resolver=lambda: 0.0, description="Always 0: fleets are not billed."
    )
    budget_limit: float | None = strawberry.field(
        resolver=lambda: None, description="Always null: fleets are not billed."
    )


@strawberry.type(description="A named group of agents; an agent belongs to one at most.")
class Fleet(NoBilling):
    """Read off a row."""

    name: str
    type: FleetType
    status: FleetStatus
    environment: str = strawberry.field(description="For instance `production`, in your words.")
    location: str
    description: str
    tags: Json = strawberry.field(description="An object of texts by key.")
    version: int = strawberry.field(description="Grows by one with every change; starts at 1.")
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @strawberry.field
    def uuid(self, row: Parent[rows.Fleet]) -> UUID:
        """Return what names the fleet."""
        return row.id

    @strawberry.field(
        graphql_type=FleetCounts,
        description="How many agents it has.",
        directives=[requires("fleets.count_members")],
    )
    async def counts(self, row: Parent[rows.Fleet], info: Info) -> rows.FleetCounts:
        """Return the counts; one query for all fleets of a list."""
        return await info.context.loaders.fleet_counts.load(row.id)

    @strawberry.field(
        description="How many agents it has.", directives=[requires("fleets.count_members")]
    )
    async def agent_count(self, row: Parent[rows.Fleet], info: Info) -> int:
        """Return the number; one query for all fleets of a list."""
        return (await info.context.loaders.fleet_counts.load(row.id)).agents

    @strawberry.field(
        description="How many of its agents are online.",
        directives=[requires("fleets.count_members")],
    )
    async def online_count(self, row: Parent[rows.Fleet], info: Info) -> int:
        """Return the number; one query for all fleets of a list."""
        return (await info.context.loaders.fleet_counts.load(row.id)).online

    @strawberry.field(
        graphql_type=list[Annotated["Agent", strawberry.lazy("schema.agent_types")]],
        description="Its first agents by name, at most 500. `Query.agents` with a filter pages on.",
        directives=[requires("fleets.list_members"), list_size(50, argument="first")],
    )
    async def agents(
        self, row: Parent[rows.Fleet], info: Info, first: int = 50
    ) -> list[agent_rows.Agent]:
        """Return members; one query for all fleets of a list."""
        return await info.context.loaders.members.load(MembersKey(row.id, first))
