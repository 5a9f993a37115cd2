"""Provisioning keys: secrets that let agents register."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class ProvisioningKey(TenantModel):
    """A secret shown once and stored as a digest; lets `agents_max` agents register."""

    noun = "provisioning key"

    id = fields.UUIDField(primary_key=True, default=None)
    key_hash = fields.BinaryField()
    description = fields.CharField(max_length=500, default="")
    fleet_uuid = fields.UUIDField(default=None, null=True)
    agents_max = fields.IntField()
    agents_used = fields.IntField(default=0)
    is_active = fields.BooleanField(default=True)
    expires_at = fields.DatetimeField()
    created_at = fields.DatetimeField()
    created_by = fields.UUIDField(default=None, null=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "provisioning_key"
