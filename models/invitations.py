"""Invitations: single-use secrets with which people make their account."""

from __future__ import annotations

from tortoise import fields

from core.callers import Role
from models.base import TenantModel


class Invitation(TenantModel):
    """Lets one person register with a role; its token goes out by mail and is kept as a digest."""

    noun = "invitation"

    id = fields.UUIDField(primary_key=True, default=None)
    token_hash = fields.BinaryField()
    email = fields.CharField(max_length=254)
    role = fields.CharEnumField(Role, max_length=20)
    created_by = fields.UUIDField(default=None, null=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)

    class Meta:
        table = "invitation"
