"""People of the tenant, as those see them who manage accounts, and as colleagues do."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core.accounts import NewUser
from core.paging import Slice
from models import users as rows
from resolvers import users
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import ActivityFilter, Role

_ACTIVE = {ActivityFilter.ACTIVE: True, ActivityFilter.INACTIVE: False}


@strawberry.type(description="A person's account.")
class User:
    """Read off a user row."""

    id: UUID
    username: str = strawberry.field(description="The name to sign in with; so is `email`.")
    email: str
    full_name: str
    role: Role
    is_active: bool
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None


@strawberry.type(description="A colleague: a name for an id.")
class Person:
    """Read off a user row."""

    id: UUID
    username: str
    full_name: str
    role: Role


@strawberry.input(description="Which accounts to list.")
class UserFilter:
    """Conditions on accounts; all must hold."""

    role: Role | None = None
    activity: ActivityFilter = ActivityFilter.ALL
    text: str | None = strawberry.field(
        default=None, description="A part of the user name, the address or the full name."
    )

    def to_filter(self) -> rows.UserFilter:
        """Return the same for use cases."""
        return rows.UserFilter(self.role, _ACTIVE.get(self.activity), self.text)


@strawberry.input(description="What an account is made of.")
class NewUserInput:
    """An account before it is made."""

    username: str = strawberry.field(
        description="3 to 100 characters, without blanks; with an @ only if it is `email`."
    )
    email: str
    password: str = strawberry.field(description="Has to be changed at the first login.")
    role: Role = strawberry.field(description="Not above your own.")
    full_name: str = ""

    def to_new(self) -> NewUser:
        """Return the same for use cases."""
        return NewUser(self.username, self.email, self.password, self.role, self.full_name)


@strawberry.input(description="What is to become of an account; null leaves as is.")
class UserChangesInput:
    """New values."""

    email: str | None = None
    role: Role | None = strawberry.field(default=None, description="Not above your own.")
    full_name: str | None = None
    is_active: bool | None = None

    def to_changes(self) -> users.UserChanges:
        """Return the same for use cases."""
        return users.UserChanges(self.email, self.role, self.full_name, self.is_active)


@strawberry.type
class UserEdge:
    """An account and its place in the list."""

    cursor: str
    node: User


@strawberry.type(description="A page of accounts, by user name.")
class UserConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.User]]) -> list[UserEdge]:
        """Return the accounts with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [UserEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[User])
    def nodes(self, page: Parent[Slice[rows.User]]) -> list[rows.User]:
        """Return the accounts alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.User]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[rows.User]]) -> str | None:
        """Return the cursor of the last account, if more come after it."""
        return page.cursors[-1] if page.has_next else None

    @strawberry.field(description="How many match in all.")
    def total_count(self, page: Parent[Slice[rows.User]]) -> int:
        """Return the number of accounts on all pages."""
        return page.total


@strawberry.type
class PersonEdge:
    """A colleague and the place in the list."""

    cursor: str
    node: Person


@strawberry.type(description="A page of colleagues, by user name.")
class PersonConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.User]]) -> list[PersonEdge]:
        """Return the colleagues with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        return [PersonEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]  # as above

    @strawberry.field(graphql_type=list[Person])
    def nodes(self, page: Parent[Slice[rows.User]]) -> list[rows.User]:
        """Return the colleagues alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.User]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many there are in all.")
    def total_count(self, page: Parent[Slice[rows.User]]) -> int:
        """Return the number of people on all pages."""
        return page.total


@strawberry.type
class UserQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=UserConnection,
        description="Accounts by user name; `first` is at most 500.",
        directives=[
            requires("users.list_users"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def users(
        self,
        info: Info,
        filter: UserFilter | None = None,  # noqa: A002  (the argument's name in the contract)
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.User]:
        """Return a page of the tenant's accounts."""
        wanted = (filter or UserFilter()).to_filter()
        return await users.list_users(info.context.ctx, wanted, first, after)

    @strawberry.field(
        graphql_type=User,
        description="One account.",
        directives=[requires("users.get_user")],
    )
    async def user(self, info: Info, id: UUID) -> rows.User:  # noqa: A002  (as above)
        """Return an account of the tenant."""
        return await users.get_user(info.context.ctx, id)

    @strawberry.field(
        graphql_type=PersonConnection,
        description="Everybody of the tenant by user name; `first` is at most 500.",
        directives=[
            requires("users.list_people"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def people(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Slice[rows.User]:
        """Return a page of colleagues."""
        return await users.list_people(info.context.ctx, first, after)


@strawberry.type
class UserMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=User,
        description="Make an account. Its password has to be changed at the first login.",
        directives=[requires("users.create_user")],
    )
    async def create_user(self, info: Info, user: NewUserInput) -> rows.User:
        """Return the new account."""
        return await users.create_user(info.context.ctx, user.to_new())

    @strawberry.mutation(
        graphql_type=User,
        description="Change an account; what is open for a person who may do less now ends at "
        "once. The last active owner stays one.",
        directives=[requires("users.update_user")],
    )
    async def update_user(
        self,
        info: Info,
        id: UUID,  # noqa: A002  (the argument's name in the contract)
        changes: UserChangesInput,
    ) -> rows.User:
        """Return the account as it is now."""
        return await users.update_user(info.context.ctx, id, changes.to_changes())

    @strawberry.mutation(
        graphql_type=User,
        description="Remove an account with its sessions and API keys; returns what it was.",
        directives=[requires("users.delete_user")],
    )
    async def delete_user(self, info: Info, id: UUID) -> rows.User:  # noqa: A002  (as above)
        """Return the account that is no more."""
        return await users.delete_user(info.context.ctx, id)
