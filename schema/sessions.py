"""Sessions of people: refresh, logout, who is signed in where."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import sessions as rows
from resolvers import sessions
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires


@strawberry.type(description="One login, from one client.")
class Session:
    """Read off a row."""

    id: UUID
    user_id: UUID
    created_at: datetime
    last_used_at: datetime = strawberry.field(
        description="When it last got an access token, by login or refresh."
    )
    expires_at: datetime = strawberry.field(
        description="When it ends by itself, however often it is refreshed."
    )
    remote_address: str = strawberry.field(description="Where the login came from.")
    user_agent: str = strawberry.field(description="What the client called itself then.")

    @strawberry.field(description="Whether this is the session that asks.")
    def is_current(self, info: Info, session: Parent[rows.Session]) -> bool:
        """Compare with the caller's session."""
        return session.id == info.context.ctx.caller.session_id


@strawberry.type
class SessionEdge:
    """A session and its place in the list."""

    cursor: str
    node: Session


@strawberry.type(description="A page of open sessions, newest first.")
class SessionConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Session]]) -> list[SessionEdge]:
        """Return the sessions with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [SessionEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Session])
    def nodes(self, page: Parent[Slice[rows.Session]]) -> list[rows.Session]:
        """Return the sessions alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Session]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many sessions are open in all.")
    def total_count(self, page: Parent[Slice[rows.Session]]) -> int:
        """Return the number of sessions on all pages."""
        return page.total


@strawberry.type(description="The next access token of a session.")
class RefreshResult:
    """Read off the use case's value."""

    access_token: str
    expires_at: datetime
    refresh_token: str | None = strawberry.field(
        description="Comes with the next refresh; null when the one that was sent stays good."
    )
    session_id: UUID


@strawberry.type
class SessionQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=SessionConnection,
        description="The caller's open sessions, newest first; `first` is at most 500.",
        directives=[
            requires("sessions.list_my_sessions"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def my_sessions(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Slice[rows.Session]:
        """Return a page of the caller's sessions."""
        return await sessions.list_my_sessions(info.context.ctx, first, after)

    @strawberry.field(
        graphql_type=SessionConnection,
        description="A person's open sessions, newest first; `first` is at most 500.",
        directives=[
            requires("sessions.list_sessions_of_user"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def sessions_of_user(
        self, info: Info, user_id: UUID, first: int = 50, after: str | None = None
    ) -> Slice[rows.Session]:
        """Return a page of the person's sessions."""
        return await sessions.list_sessions_of_user(info.context.ctx, user_id, first, after)


@strawberry.type
class SessionMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=RefreshResult,
        description="Get the session's next access token, and with it the next refresh token: the "
        "old one is used up. One that comes back later ends the session, since somebody has a "
        "copy; who only missed the answer may ask again within half a minute. With `rotate: false` "
        "the refresh token stays the same.",
        directives=[requires("sessions.refresh")],
    )
    async def refresh(
        self, info: Info, refresh_token: str, rotate: bool = True
    ) -> sessions.Refreshed:
        """Return the next tokens."""
        return await sessions.refresh(info.context.ctx, refresh_token, rotate=rotate)

    @strawberry.mutation(
        description="End this session, and that of `refreshToken` if it is the caller's; all of "
        "the caller's with `everywhere`. What is open for them is closed. Answers true.",
        directives=[requires("sessions.logout")],
    )
    async def logout(
        self, info: Info, refresh_token: str | None = None, everywhere: bool = False
    ) -> bool:
        """End the caller's session."""
        await sessions.logout(info.context.ctx, refresh_token=refresh_token, everywhere=everywhere)
        return True

    @strawberry.mutation(
        description="End an open session of one's own; administrators may end those of everybody "
        "who does not stand above them. Answers true.",
        directives=[requires("sessions.revoke_session")],
    )
    async def revoke_session(self, info: Info, id: UUID) -> bool:  # noqa: A002  (the schema's name)
        """End the session."""
        await sessions.revoke_session(info.context.ctx, id)
        return True

    @strawberry.mutation(
        description="End all of the caller's sessions but this one; answers how many.",
        directives=[requires("sessions.revoke_other_sessions")],
    )
    async def revoke_other_sessions(self, info: Info) -> int:
        """End the other sessions."""
        return await sessions.revoke_other_sessions(info.context.ctx)

    @strawberry.mutation(
        description="End all sessions of a person whose credentials may be in wrong hands; answers "
        "how many. `revokeApiKeys` ends the person's keys as well; after `voidPassword` the password "
        "holds no longer, and a new one is chosen with a code by mail.",
        directives=[requires("sessions.sign_out_user")],
    )
    async def sign_out_user(
        self,
        info: Info,
        user_id: UUID,
        revoke_api_keys: bool = False,
        void_password: bool = False,
    ) -> int:
        """End the person's sessions."""
        return await sessions.sign_out_user(
            info.context.ctx,
            user_id,
            revoke_api_keys=revoke_api_keys,
            void_password=void_password,
        )
