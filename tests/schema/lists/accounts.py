"""Invitations."""

from __future__ import annotations

from typing import Any

from core.callers import Caller, Role
from core.context import Context
from resolvers.accounts import create_invitation
from tests.factories import make_user
from tests.schema.lists.case import Make


async def _invitations(ctx: Context, number: int) -> dict[str, Any]:
    user = await make_user(ctx, role=Role.OWNER)
    inviter = ctx.acting_as(Caller(Role.OWNER, ctx.tenant_id, user_id=user.id))
    for at in range(number):
        await create_invitation(inviter, f"guest-{at}@example.com", Role.VIEWER)
    return {}


CASES: dict[str, tuple[Make, str]] = {
    "InvitationConnection.nodes": (
        _invitations,
        "{ invitations { totalCount nodes { email role createdBy } } }",
    ),
    "InvitationConnection.edges": (
        _invitations,
        "{ invitations { edges { cursor node { id } } pageInfo { endCursor } } }",
    ),
}
