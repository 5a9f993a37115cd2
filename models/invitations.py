"""Invitations: single-use secrets with which people make their account."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from tortoise import fields

from core.callers import Role
from core.ids import secret_hash
from core.paging import Slice
from models.connection import fetch
from models.pages import DatedModel, newest_first

_PURPOSE: Final = "invitation"


class Invitation(DatedModel):
    """Lets one person register with a role; its token goes out by mail and is kept as a digest."""

    noun = "invitation"

    token_hash = fields.BinaryField()
    email = fields.CharField(max_length=254)
    role = fields.CharEnumField(Role, max_length=20)
    created_by = fields.UUIDField(default=None, null=True)
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "invitation"

    def is_open(self, now: datetime) -> bool:
        """Whether somebody may still register with it."""
        return self.used_at is None and self.revoked_at is None and now < self.expires_at


def invitation_digest(token: str) -> bytes:
    """Return the digest under which an invitation's token is kept."""
    return secret_hash(_PURPOSE, token)


async def find_invitation(token: str) -> Invitation | None:
    """Return the invitation of this token; the token itself names the tenant."""
    return await Invitation.filter(token_hash=invitation_digest(token)).first()


async def take_invitation(tenant_id: int, invitation_id: UUID, now: datetime) -> bool:
    """Use an open invitation up, for one of all who try; False for the others."""
    rows = await fetch(
        "update invitation set used_at = $3 where tenant_id = $1 and id = $2"
        " and used_at is null and revoked_at is null and expires_at > $3 returning id",
        tenant_id,
        invitation_id,
        now,
    )
    return bool(rows)


async def revoke_invitations_to(tenant_id: int, email: str, now: datetime) -> None:
    """Void the tenant's open invitations of an address, in whatever case."""
    await fetch(
        "update invitation set revoked_at = $3 where tenant_id = $1 and lower(email) = lower($2)"
        " and used_at is null and revoked_at is null",
        tenant_id,
        email,
        now,
    )


async def page_of_invitations(tenant_id: int, first: int, after: str | None) -> Slice[Invitation]:
    """Return one page of all, newest first; raises InvalidInput for a bad cursor."""
    return await newest_first(Invitation.of(tenant_id), first, after)
