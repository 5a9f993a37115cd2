"""Tenants: the organisations of the installation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import tenants as rows
from resolvers import tenants
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires


@strawberry.type(description="An organisation.")
class Tenant:
    """Read off a row."""

    name: str
    created_at: datetime

    @strawberry.field
    def id(self, row: Parent[rows.Tenant]) -> UUID:
        """Return the id that agents and topics see."""
        return row.uuid


@strawberry.type
class TenantEdge:
    """A tenant and its place in the list."""

    cursor: str
    node: Tenant


@strawberry.type(description="A page of tenants, by name.")
class TenantConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Tenant]]) -> list[TenantEdge]:
        """Return the tenants with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [TenantEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Tenant])
    def nodes(self, page: Parent[Slice[rows.Tenant]]) -> list[rows.Tenant]:
        """Return the tenants alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Tenant]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many there are in all.")
    def total_count(self, page: Parent[Slice[rows.Tenant]]) -> int:
        """Return the number of tenants on all pages."""
        return page.total


@strawberry.type(description="A tenant that was just made, and who may sign in to it.")
class NewTenant:
    """Read off the use case's value."""

    @strawberry.field(graphql_type=Tenant)
    def tenant(self, new: Parent[tenants.NewTenant]) -> rows.Tenant:
        """Return the tenant."""
        return new.row

    @strawberry.field(description="The name its owner signs in with.")
    def owner_username(self, new: Parent[tenants.NewTenant]) -> str:
        """Return the owner's user name."""
        return new.owner.username

    @strawberry.field(description="The owner's password if it was made up. Shown only now.")
    def owner_password(self, new: Parent[tenants.NewTenant]) -> str | None:
        """Return the password, unless the caller brought it."""
        return new.password


@strawberry.type
class TenantQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Tenant,
        description="Your own tenant.",
        directives=[requires("tenants.get_own_tenant")],
    )
    async def tenant(self, info: Info) -> rows.Tenant:
        """Return the caller's tenant."""
        return await tenants.get_own_tenant(info.context.ctx)

    @strawberry.field(
        graphql_type=TenantConnection,
        description="For owners of the installation's first tenant: all tenants by name; `first` "
        "is at most 500.",
        directives=[
            requires("tenants.list_tenants"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def tenants(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Slice[rows.Tenant]:
        """Return a page of all tenants."""
        return await tenants.list_tenants(info.context.ctx, first, after)


@strawberry.type
class TenantMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=NewTenant,
        description="For owners of the installation's first tenant: make a tenant and its owner, "
        "who has to change the password at the first login.",
        directives=[requires("tenants.create_tenant")],
    )
    async def create_tenant(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="1 to 200 characters.")],
        owner_email: str,
        owner_username: Annotated[
            str | None, strawberry.argument(description="The address, unless given.")
        ] = None,
        owner_password: Annotated[
            str | None, strawberry.argument(description="Made up, unless given.")
        ] = None,
    ) -> tenants.NewTenant:
        """Return the new tenant."""
        return await tenants.create_tenant(
            info.context.ctx,
            name,
            owner_email=owner_email,
            owner_username=owner_username,
            owner_password=owner_password,
        )

    @strawberry.mutation(
        graphql_type=Tenant,
        description="Give your own tenant another name.",
        directives=[requires("tenants.rename_tenant")],
    )
    async def rename_tenant(self, info: Info, name: str) -> rows.Tenant:
        """Return the tenant as it is now."""
        return await tenants.rename_tenant(info.context.ctx, name)
