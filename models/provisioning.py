"""Provisioning keys: secrets that let agents register."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import TenantModel
from models.connection import fetch


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

    def may_register(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired; uses left are another question."""
        return self.is_active and now < self.expires_at

    @property
    def has_uses_left(self) -> bool:
        """Whether one more agent may register with it."""
        return self.agents_used < self.agents_max


async def page_of_keys(tenant_id: int, first: int, after: str | None) -> Slice[ProvisioningKey]:
    """Return one page of the tenant's keys, newest first; raises InvalidInput for a bad cursor."""
    behind = [_behind(after)] if after is not None else []
    total = await ProvisioningKey.of(tenant_id).count()
    query = ProvisioningKey.of(tenant_id, *behind).order_by("-created_at", "-id")
    rows = await query.limit(first + 1)
    items = rows[:first]
    return Slice(items, [_cursor(key) for key in items], len(rows) > first, total)


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


def _cursor(key: ProvisioningKey) -> str:
    return encode_cursor(f"{micros(key.created_at)} {key.id}")


def _behind(after: str) -> Q:
    try:
        created_us, id_text = decode_cursor(after).split(" ")
        created_at, id_ = moment_of(int(created_us)), UUID(id_text)
    except (ValueError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None
    return Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=id_)
