"""API keys: long-lived credentials for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import api_keys as rows
from models.users import User
from resolvers import api_keys
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import ActivityFilter
from schema.users import Person

_ACTIVE = {ActivityFilter.ACTIVE: True, ActivityFilter.INACTIVE: False}


@strawberry.type(
    description="A credential of a person's programs; its text is not kept. It may do what "
    "`scopes` say, as far as its person may."
)
class ApiKey:
    """Read off a row."""

    id: UUID
    name: str
    description: str
    key_prefix: str = strawberry.field(description="How the key starts, to know it again.")
    scopes: list[str] = strawberry.field(description="Names of permissions.")
    user_id: UUID
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = strawberry.field(description="To the minute.")

    @strawberry.field(description="Whether the key is neither revoked nor expired.")
    def is_active(self, info: Info, row: Parent[rows.ApiKey]) -> bool:
        """Return whether it would let somebody in."""
        return row.holds(info.context.ctx.clock.now())

    @strawberry.field(
        graphql_type=Person | None,
        description="Whose key it is; null when the person is gone.",
        directives=[requires("users.find_people")],
    )
    async def owner(self, info: Info, row: Parent[rows.ApiKey]) -> User | None:
        """Return the person, if still there."""
        return await info.context.loaders.person.load(row.user_id)


@strawberry.type
class ApiKeyEdge:
    """A key and its place in the list."""

    cursor: str
    node: ApiKey


@strawberry.type(description="A page of API keys, newest first.")
class ApiKeyConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.ApiKey]]) -> list[ApiKeyEdge]:
        """Return the keys with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [ApiKeyEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[ApiKey])
    def nodes(self, page: Parent[Slice[rows.ApiKey]]) -> list[rows.ApiKey]:
        """Return the keys alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.ApiKey]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[rows.ApiKey]]) -> str | None:
        """Return the cursor of the last key, if more come after it."""
        return page.cursors[-1] if page.has_next else None

    @strawberry.field(description="How many match in all.")
    def total_count(self, page: Parent[Slice[rows.ApiKey]]) -> int:
        """Return the number of keys on all pages."""
        return page.total


@strawberry.type(description="An API key at the only moment at which its text is known.")
class NewApiKey(ApiKey):
    """Read off the row that was just made."""

    @strawberry.field(description="Send it as `Authorization: Bearer`. Shown only now.")
    def key(self, row: Parent[rows.ApiKey]) -> str:
        """Return the secret."""
        return row.text


@strawberry.type
class ApiKeyQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=ApiKeyConnection,
        description="Everybody's API keys, newest first; `first` is at most 500.",
        directives=[
            requires("api_keys.list_api_keys"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def api_keys(
        self,
        info: Info,
        activity: ActivityFilter = ActivityFilter.ALL,
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.ApiKey]:
        """Return a page of the tenant's keys."""
        return await api_keys.list_api_keys(info.context.ctx, _ACTIVE.get(activity), first, after)


@strawberry.type
class ApiKeyMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=NewApiKey,
        description="Make an API key. It holds until revoked, unless an end is given.",
        directives=[requires("api_keys.create_api_key")],
    )
    async def create_api_key(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="1 to 100 characters.")],
        description: str = "",
        scopes: Annotated[
            list[str] | None,
            strawberry.argument(
                description="Names of permissions that you have; all of yours that only read, "
                "unless given."
            ),
        ] = None,
        expires_at: datetime | None = None,
        expires_in_days: Annotated[
            int | None, strawberry.argument(description="1 to 3650, instead of `expiresAt`.")
        ] = None,
    ) -> rows.ApiKey:
        """Return the new key with its text."""
        return await api_keys.create_api_key(
            info.context.ctx,
            name,
            description=description,
            scopes=scopes,
            expires_at=expires_at,
            expires_in_days=expires_in_days,
        )

    @strawberry.mutation(
        graphql_type=ApiKey,
        description="End an API key, whoever it belongs to, and what is open for it.",
        directives=[requires("api_keys.revoke_api_key")],
    )
    async def revoke_api_key(
        self,
        info: Info,
        id: UUID,  # noqa: A002  (the argument's name in the contract)
    ) -> rows.ApiKey:
        """Return the key as it is now."""
        return await api_keys.revoke_api_key(info.context.ctx, id)
