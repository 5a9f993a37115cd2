"""API keys: long-lived credentials of people, for their programs."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class ApiKey(TenantModel):
    """A secret shown once and stored as a digest; it may do what `scopes` and its person may."""

    noun = "API key"

    id = fields.UUIDField(primary_key=True, default=None)
    user_id = fields.UUIDField(default=None)
    name = fields.CharField(max_length=100)
    description = fields.CharField(max_length=500, default="")
    key_hash = fields.BinaryField()
    key_prefix = fields.CharField(max_length=20)
    scopes: fields.Field[list[str]] = fields.JSONField()
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "api_key"
