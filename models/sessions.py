"""Sessions of people, and the refresh tokens of each: a family that ends as one."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class Session(TenantModel):
    """One login, from one client. It ends by itself at `expires_at`, however often it is used."""

    noun = "session"

    id = fields.UUIDField(primary_key=True, default=None)
    user_id = fields.UUIDField(default=None)
    created_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=50, null=True)
    remote_address = fields.CharField(max_length=64)
    user_agent = fields.CharField(max_length=300)

    class Meta:
        table = "session"
