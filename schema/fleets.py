"""Fleets: named groups of agents."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import fleets as rows
from resolvers import fleets
from schema.agent_filters import AgentSelection
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import FleetStatus
from schema.fleet_inputs import FleetFilter, FleetInput
from schema.fleet_types import Fleet


@strawberry.type
class FleetEdge:
    """A fleet and its place in the list."""

    cursor: str
    node: Fleet


@strawberry.type(description="A page of fleets, by name.")
class FleetConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Fleet]]) -> list[FleetEdge]:
        """Return the fleets with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [FleetEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Fleet])
    def nodes(self, page: Parent[Slice[rows.Fleet]]) -> list[rows.Fleet]:
        """Return the fleets alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Fleet]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many fleets match in all.")
    def total_count(self, page: Parent[Slice[rows.Fleet]]) -> int:
        """Return the number of matches on all pages."""
        return page.total


@strawberry.type(description="A fleet that was deleted; its agents have left it.")
class DeletedFleet:
    """What is left to say of it."""

    uuid: UUID
    status: FleetStatus
    message: str
    k8s_namespace_deleted: bool = strawberry.field(
        name="k8sNamespaceDeleted", description="Always false: fleets have no namespace."
    )


@strawberry.type(description="Which agents joined a fleet; each list names at most 1000.")
class FleetJoining:
    """Read off the use case's value."""

    fleet: Fleet
    joined: int = strawberry.field(description="How many joined.")
    added: list[UUID]
    already_member: list[UUID]
    elsewhere: list[UUID] = strawberry.field(
        description="Members of another fleet, which stay there unless `move` is true."
    )
    not_found: list[UUID] = strawberry.field(
        description="Named, but there are none that meet all of the selection."
    )

    @strawberry.field
    def fleet_uuid(self, joining: Parent[fleets.Joining]) -> UUID:
        """Return what names the fleet."""
        return joining.fleet.id


@strawberry.type(description="Which agents left a fleet.")
class FleetLeaving:
    """Read off the use case's value."""

    fleet: Fleet
    left: int = strawberry.field(description="How many left.")
    removed: list[UUID] = strawberry.field(description="At most 1000 of them.")

    @strawberry.field
    def fleet_uuid(self, leaving: Parent[fleets.Leaving]) -> UUID:
        """Return what names the fleet."""
        return leaving.fleet.id


@strawberry.type
class FleetQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Fleet | None,
        description="One fleet; null with an error NOT_FOUND when there is none.",
        directives=[requires("fleets.get_fleet")],
    )
    async def fleet(self, info: Info, uuid: UUID) -> rows.Fleet:
        """Return one fleet."""
        return await fleets.get_fleet(info.context.ctx, uuid)

    @strawberry.field(
        graphql_type=FleetConnection,
        description="Fleets by name; `first` is at most 500.",
        directives=[
            requires("fleets.list_fleets"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def fleets(
        self,
        info: Info,
        filter: FleetFilter | None = None,  # noqa: A002  # the name in the contract
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.Fleet]:
        """Return a page of fleets."""
        wanted = (filter or FleetFilter()).to_filter()
        return await fleets.list_fleets(info.context.ctx, wanted, first, after)


@strawberry.type
class FleetMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=Fleet,
        description="Make a fleet; CONFLICT when another one has its name, whatever the case.",
        directives=[requires("fleets.create_fleet")],
    )
    async def create_fleet(self, info: Info, fleet: FleetInput) -> rows.Fleet:
        """Return the new fleet."""
        return await fleets.create_fleet(info.context.ctx, fleet.to_changes())

    @strawberry.mutation(
        graphql_type=Fleet,
        description="Change what is given of a fleet; tags are replaced as a whole.",
        directives=[requires("fleets.update_fleet")],
    )
    async def update_fleet(
        self,
        info: Info,
        uuid: UUID,
        fleet: FleetInput,
        if_version: Annotated[
            int | None,
            strawberry.argument(
                description="Refuse with PRECONDITION_FAILED unless this is the current version."
            ),
        ] = None,
    ) -> rows.Fleet:
        """Return the changed fleet."""
        changes = fleet.to_changes()
        return await fleets.update_fleet(info.context.ctx, uuid, changes, if_version=if_version)

    @strawberry.mutation(
        description="Delete a fleet. Its agents leave it; its provisioning keys go on to let agents "
        "in, without a fleet.",
        directives=[requires("fleets.delete_fleet")],
    )
    async def delete_fleet(self, info: Info, uuid: UUID) -> DeletedFleet:
        """Return that it is gone."""
        row = await fleets.delete_fleet(info.context.ctx, uuid)
        return DeletedFleet(
            uuid=row.id,
            status=row.status,
            message=f"Fleet {row.name} was deleted",
            k8s_namespace_deleted=False,
        )

    @strawberry.mutation(
        graphql_type=FleetJoining,
        description="Let agents join a fleet. Those of another fleet stay there, unless `move`.",
        directives=[requires("fleets.add_agents")],
    )
    async def add_agents_to_fleet(
        self, info: Info, uuid: UUID, select: AgentSelection, move: bool = False
    ) -> fleets.Joining:
        """Return who joined and who did not."""
        chosen = select.to_selection()
        return await fleets.add_agents(info.context.ctx, uuid, chosen, move=move)

    @strawberry.mutation(
        graphql_type=FleetLeaving,
        description="Let agents leave a fleet; those that are not in it stay as they are.",
        directives=[requires("fleets.remove_agents")],
    )
    async def remove_agents_from_fleet(
        self, info: Info, uuid: UUID, select: AgentSelection
    ) -> fleets.Leaving:
        """Return who left."""
        return await fleets.remove_agents(info.context.ctx, uuid, select.to_selection())
