"""Accounts: registering, invitations, passwords."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import invitations as rows
from resolvers import accounts, passwords
from resolvers.auth import SignedIn
from schema.agents import PageInfo
from schema.auth import LoginResult
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import Role


@strawberry.type(description="Lets one person register with a role; its code is not kept.")
class Invitation:
    """Read off a row."""

    id: UUID
    email: str
    role: Role
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


@strawberry.type
class InvitationEdge:
    """An invitation and its place in the list."""

    cursor: str
    node: Invitation


@strawberry.type(description="A page of invitations, newest first, used and void ones too.")
class InvitationConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Invitation]]) -> list[InvitationEdge]:
        """Return the invitations with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [InvitationEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Invitation])
    def nodes(self, page: Parent[Slice[rows.Invitation]]) -> list[rows.Invitation]:
        """Return the invitations alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Invitation]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many invitations there are in all.")
    def total_count(self, page: Parent[Slice[rows.Invitation]]) -> int:
        """Return the number of invitations on all pages."""
        return page.total


@strawberry.type(description="An invitation at the only moment at which its code is known.")
class NewInvitation:
    """Read off the use case's value."""

    token: str = strawberry.field(
        description="What the invited person registers with. It was mailed to them; shown only now."
    )

    @strawberry.field(graphql_type=Invitation)
    def invitation(self, new: Parent[accounts.NewInvitation]) -> rows.Invitation:
        """Return the row."""
        return new.row


@strawberry.type
class AccountQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=InvitationConnection,
        description="Invitations, newest first; `first` is at most 500.",
        directives=[
            requires("accounts.list_invitations"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def invitations(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> Slice[rows.Invitation]:
        """Return a page of the tenant's invitations."""
        return await accounts.list_invitations(info.context.ctx, first, after)


@strawberry.type
class AccountMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=LoginResult,
        description="Make an account and sign in: as who was invited, or, where everybody may "
        "register, as viewer of the first tenant.",
        directives=[requires("accounts.register")],
    )
    async def register(
        self,
        info: Info,
        username: str,
        email: str,
        password: str,
        full_name: str | None = None,
        invitation_token: str | None = None,
    ) -> SignedIn:
        """Return the new person's first access token."""
        return await accounts.register(
            info.context.ctx, username, email, password, full_name or "", invitation_token
        )

    @strawberry.mutation(
        graphql_type=NewInvitation,
        description="Mail somebody a code with which to register; earlier ones to the address "
        "are void.",
        directives=[requires("accounts.create_invitation")],
    )
    async def create_invitation(self, info: Info, email: str, role: Role) -> accounts.NewInvitation:
        """Return the invitation with its code."""
        return await accounts.create_invitation(info.context.ctx, email, role)

    @strawberry.mutation(
        graphql_type=Invitation,
        description="Void an invitation that nobody has used.",
        directives=[requires("accounts.revoke_invitation")],
    )
    async def revoke_invitation(self, info: Info, id: UUID) -> rows.Invitation:  # noqa: A002  (on the wire)
        """Return the invitation."""
        return await accounts.revoke_invitation(info.context.ctx, id)

    @strawberry.mutation(
        description="Change one's own password; ends all other sessions of one's own.",
        directives=[requires("passwords.change_password")],
    )
    async def change_password(self, info: Info, current_password: str, new_password: str) -> bool:
        """Return true: a refusal is an error."""
        await passwords.change_password(info.context.ctx, current_password, new_password)
        return True

    @strawberry.mutation(
        description="Mail a code with which to choose a new password. True for any address: "
        "whether there is an account is not told.",
        directives=[requires("passwords.request_password_reset")],
    )
    async def request_password_reset(self, info: Info, email: str) -> bool:
        """Return true."""
        await passwords.request_password_reset(info.context.ctx, email)
        return True

    @strawberry.mutation(
        description="Choose a new password with a mailed code; ends all sessions of the account.",
        directives=[requires("passwords.confirm_password_reset")],
    )
    async def confirm_password_reset(self, info: Info, token: str, password: str) -> bool:
        """Return true: a refusal is an error."""
        await passwords.confirm_password_reset(info.context.ctx, token, password)
        return True
