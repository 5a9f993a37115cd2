"""Provisioning keys: secrets that let agents register."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields

from core.paging import Slice
from models.connection import fetch
from models.pages import DatedModel, newest_first


class ProvisioningKey(DatedModel):
    """A secret shown once and stored as a digest; lets `agents_max` agents register."""

    noun = "provisioning key"

    key_hash = fields.BinaryField()
    description = fields.CharField(max_length=500, default="")
    fleet_uuid = fields.UUIDField(default=None, null=True)
    agents_max = fields.IntField()
    agents_used = fields.IntField(default=0)
    is_active = fields.BooleanField(default=True)
    expires_at = fields.DatetimeField()
    created_by = fields.UUIDField(default=None, null=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "provisioning_key"

    def may_register(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired; uses left are another question."""
        return self.is_active and now < self.expires_at

    @property
    def has_uses_left(self) -> bool:
        """Whether one more agent may register with it."""
        return self.agents_used < self.agents_max


async def page_of_keys(tenant_id: int, first: int, after: str | None) -> Slice[ProvisioningKey]:
    """Return one page of the tenant's keys, newest first; raises InvalidInput for a bad cursor."""
    return await newest_first(ProvisioningKey.of(tenant_id), first, after)


async def find_provisioning_key(key_hash: bytes) -> ProvisioningKey | None:
    """Return the row of this digest; the key itself names the tenant."""
    return await ProvisioningKey.filter(key_hash=key_hash).first()


async def take_use(tenant_id: int, key_id: UUID, now: datetime) -> bool:
    """Count one more agent, unless the key is used up; False then. One conditional statement."""
    rows = await fetch(
        "update provisioning_key set agents_used = agents_used + 1, last_used_at = $3"
        " where tenant_id = $1 and id = $2 and is_active and expires_at > $3"
        " and agents_used < agents_max returning id",
        tenant_id,
        key_id,
        now,
    )
    return bool(rows)
