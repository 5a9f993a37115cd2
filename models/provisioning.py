"""Provisioning keys: secrets that let agents register."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.expressions import F

from core.errors import NotFound
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
    revoked_at = fields.DatetimeField(null=True)
    revoked_by = fields.UUIDField(default=None, null=True)
    revoke_reason = fields.CharField(max_length=500, default="")

    class Meta:
        table = "provisioning_key"

    def may_register(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired; uses left are another question."""
        return self.is_active and now < self.expires_at

    @property
    def has_uses_left(self) -> bool:
        """Whether one more agent may register with it."""
        return self.agents_used < self.agents_max


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Conditions on keys, all of which must hold; `holds_at`: those that let agents in then."""

    fleet_uuid: UUID | None = None
    holds_at: datetime | None = None


async def page_of_keys(
    tenant_id: int, wanted: KeyFilter, first: int, after: str | None
) -> Slice[ProvisioningKey]:
    """Return one page of the tenant's keys, newest first; raises InvalidInput for a bad cursor."""
    query = ProvisioningKey.of(tenant_id)
    if wanted.fleet_uuid is not None:
        query = query.filter(fleet_uuid=wanted.fleet_uuid)
    if wanted.holds_at is not None:
        query = query.filter(
            is_active=True, expires_at__gt=wanted.holds_at, agents_used__lt=F("agents_max")
        )
    return await newest_first(query, first, after)


async def lock_key(tenant_id: int, key_id: UUID) -> ProvisioningKey:
    """Return a key's row for a change, held until the transaction ends. Raises NotFound."""
    key = await ProvisioningKey.of(tenant_id, id=key_id).select_for_update().first()
    if key is None:
        raise NotFound(ProvisioningKey.noun, key_id)
    return key


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
