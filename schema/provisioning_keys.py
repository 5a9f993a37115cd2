"""Provisioning keys: what operators hand out so that agents may register."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import provisioning as rows
from resolvers import provisioning_keys
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires


@strawberry.type(description="A secret that lets agents register; its text is not kept.")
class ProvisioningKey:
    """Read off a row."""

    id: UUID
    description: str
    fleet_uuid: UUID | None
    agents_max: int = strawberry.field(description="How many agents may register with it.")
    agents_used: int
    is_active: bool
    expires_at: datetime
    created_at: datetime
    created_by: UUID | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: UUID | None
    revoke_reason: str


@strawberry.type
class ProvisioningKeyEdge:
    """A key and its place in the list."""

    cursor: str
    node: ProvisioningKey


@strawberry.type(description="A page of provisioning keys, newest first.")
class ProvisioningKeyConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.ProvisioningKey]]) -> list[ProvisioningKeyEdge]:
        """Return the keys with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [ProvisioningKeyEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[ProvisioningKey])
    def nodes(self, page: Parent[Slice[rows.ProvisioningKey]]) -> list[rows.ProvisioningKey]:
        """Return the keys alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.ProvisioningKey]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many keys there are in all.")
    def total_count(self, page: Parent[Slice[rows.ProvisioningKey]]) -> int:
        """Return the number of keys on all pages."""
        return page.total


@strawberry.type(description="A provisioning key at the only moment at which its text is known.")
class NewProvisioningKey:
    """Read off the use case's value."""

    key: str = strawberry.field(description="64 hex digits. Shown only now.")

    @strawberry.field
    def id(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> UUID:
        """Return the row's id."""
        return new.row.id

    @strawberry.field
    def description(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> str:
        """Return the operator's words."""
        return new.row.description

    @strawberry.field
    def fleet_uuid(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> UUID | None:
        """Return the fleet that agents join."""
        return new.row.fleet_uuid

    @strawberry.field
    def agents_max(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> int:
        """Return how many agents may register."""
        return new.row.agents_max

    @strawberry.field
    def expires_at(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> datetime:
        """Return when the key ends."""
        return new.row.expires_at

    @strawberry.field(description="What to mind about the key, for people.")
    def warning(self, new: Parent[provisioning_keys.NewProvisioningKey]) -> str:
        """Return one sentence."""
        return "Save this key now. It is not stored and cannot be shown again."


@strawberry.type
class ProvisioningKeyQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=ProvisioningKeyConnection,
        description="Provisioning keys, newest first; `first` is at most 500.",
        directives=[
            requires("provisioning_keys.list_provisioning_keys"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def provisioning_keys(
        self,
        info: Info,
        first: int = 50,
        after: str | None = None,
        fleet_uuid: UUID | None = None,
        only_usable: Annotated[
            bool,
            strawberry.argument(description="Leave out what is revoked, expired or used up."),
        ] = False,
    ) -> Slice[rows.ProvisioningKey]:
        """Return a page of the tenant's keys."""
        return await provisioning_keys.list_provisioning_keys(
            info.context.ctx, first, after, fleet_uuid=fleet_uuid, only_usable=only_usable
        )


@strawberry.type
class ProvisioningKeyMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=NewProvisioningKey,
        description="Make a key that lets agents register: one agent, unless told otherwise.",
        directives=[requires("provisioning_keys.create_provisioning_key")],
    )
    async def create_provisioning_key(
        self,
        info: Info,
        description: str = "",
        agents_max: Annotated[int, strawberry.argument(description="1 to 10000.")] = 1,
        expires_in_days: Annotated[int, strawberry.argument(description="1 to 3650.")] = 365,
        fleet_uuid: UUID | None = None,
        replaces: Annotated[
            UUID | None, strawberry.argument(description="A key that is revoked along with it.")
        ] = None,
    ) -> provisioning_keys.NewProvisioningKey:
        """Return the new key with its text."""
        return await provisioning_keys.create_provisioning_key(
            info.context.ctx,
            description=description,
            agents_max=agents_max,
            expires_in_days=expires_in_days,
            fleet_uuid=fleet_uuid,
            replaces=replaces,
        )

    @strawberry.mutation(
        graphql_type=ProvisioningKey,
        description="Have a key let nobody in any more. Agents that came with it stay.",
        directives=[requires("provisioning_keys.revoke_provisioning_key")],
    )
    async def revoke_provisioning_key(
        self,
        info: Info,
        id: UUID,  # noqa: A002  (the contract's word)
        reason: str = "",
    ) -> rows.ProvisioningKey:
        """Return the key as it is now."""
        return await provisioning_keys.revoke_provisioning_key(info.context.ctx, id, reason=reason)
