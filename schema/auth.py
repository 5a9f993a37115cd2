"""Sign-in and the signed-in person."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core.access import SCOPES, permissions_of
from core.callers import Caller
from models.users import User
from resolvers import auth
from schema.context import Info
from schema.directives import requires
from schema.enums import Role


@strawberry.type(description="A person, as they see themselves.")
class Me:
    """The signed-in person; read off a user row."""

    id: UUID
    username: str = strawberry.field(description="The name to sign in with; so is `email`.")
    email: str
    full_name: str
    role: Role
    last_login_at: datetime | None

    @strawberry.field(description="What this person may do, by name of the permission.")
    def permissions(self, info: Info, user: Parent[User]) -> list[str]:
        """Return the names of what the caller may do, or the person who is about to sign in."""
        caller = info.context.ctx.caller
        if caller.user_id != user.id:
            caller = Caller(user.role)
        return sorted(permissions_of(caller) & frozenset(SCOPES))


@strawberry.type(description="A new access token and the person it stands for.")
class LoginResult:
    """The answer to a login."""

    access_token: str = strawberry.field(
        description="Send it as `Authorization: Bearer`, or as `authorization` in the payload of a "
        "WebSocket's `connection_init`."
    )
    expires_at: datetime
    refresh_token: str | None = strawberry.field(
        description="Gets the next access token; null while the password has to be changed."
    )
    session_id: UUID
    user: Me

    @strawberry.field(description="Whether the password has to be changed before anything else.")
    def must_change_password(self, signed_in: Parent[auth.SignedIn]) -> bool:
        """Return what the account says."""
        return signed_in.user.must_change_password


@strawberry.type
class AuthQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Me,
        description="The signed-in person.",
        directives=[requires("auth.who_am_i")],
    )
    async def me(self, info: Info) -> User:
        """Return the caller's own account."""
        return await auth.who_am_i(info.context.ctx)


@strawberry.type
class AuthMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=LoginResult,
        description="Sign in by user name or e-mail address. A refusal never says which was wrong.",
        directives=[requires("auth.login")],
    )
    async def login(self, info: Info, username: str, password: str) -> auth.SignedIn:
        """Return a new access token."""
        return await auth.login(info.context.ctx, username, password)
