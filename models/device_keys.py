"""Device keys: the credentials that agents come with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q

from core.paging import OpenSlice
from models.base import TenantModel
from models.connection import fetch
from models.pages import cursor_at, read_cursor, row_number

UNPROVEN_KEY_LIFE = timedelta(days=1)

LOGS_AFTER_SUCCESSOR = timedelta(hours=24)
"""How long a superseded key is good for log upload, once its successor has been seen."""


class DeviceKey(TenantModel):
    """A credential of an agent, stored as a digest.

    Good for everything once `proven_at` is set, and for log upload only after `superseded_at`:
    a re-provisioned agent goes on sending logs with its old key until it restarts. Good for
    nothing after `expires_at` or `revoked_at`.
    """

    noun = "device key"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    key_hash = fields.BinaryField()
    created_at = fields.DatetimeField()
    proven_at = fields.DatetimeField(null=True)
    superseded_at = fields.DatetimeField(null=True)
    first_used_at = fields.DatetimeField(null=True)
    expires_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=500, default="")

    class Meta:
        table = "device_key"
        indexes = (("tenant_id", "agent_id"),)


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A device key and the agent it belongs to, found by the key alone."""

    tenant_id: int
    agent_id: int
    agent_uuid: UUID
    key_id: int
    is_active: bool
    is_proven: bool
    is_superseded: bool
    is_used: bool
    is_revoked: bool
    expires_at: datetime | None

    def has_ended(self, now: datetime) -> bool:
        """Whether the key was revoked, or its time is over."""
        return self.is_revoked or (self.expires_at is not None and self.expires_at <= now)


async def find_key_holder(key_hash: bytes) -> KeyHolder | None:
    """Return whose device key this is; the key itself names the tenant. One statement."""
    rows = await fetch(
        "select a.tenant_id, a.id as agent_id, a.uuid as agent_uuid, k.id as key_id, a.is_active,"
        " k.proven_at is not null as is_proven, k.superseded_at is not null as is_superseded,"
        " k.first_used_at is not null as is_used, k.revoked_at is not null as is_revoked,"
        " k.expires_at"
        " from device_key k join agent a on a.id = k.agent_id and a.tenant_id = k.tenant_id"
        " where k.key_hash = $1",
        key_hash,
    )
    return KeyHolder(**rows[0]) if rows else None


async def put_device_key(tenant_id: int, agent_id: int, key_hash: bytes, now: datetime) -> bool:
    """Register a device key for an agent; False when another agent has it, or it was revoked.

    One that was superseded has to be proven anew. Keys that were never proven go after a day, so
    that they cannot pile up.
    """
    rows = await fetch(
        "insert into device_key (tenant_id, agent_id, key_hash, created_at) values ($1, $2, $3, $4)"
        " on conflict (key_hash) do update set created_at = case"
        " when device_key.proven_at is null or device_key.superseded_at is not null"
        " then excluded.created_at else device_key.created_at end,"
        " proven_at = case when device_key.superseded_at is null then device_key.proven_at end,"
        " expires_at = case when device_key.superseded_at is null then device_key.expires_at end,"
        " superseded_at = null"
        " where device_key.tenant_id = $1 and device_key.agent_id = $2"
        " and device_key.revoked_at is null returning id",
        tenant_id,
        agent_id,
        key_hash,
        now,
    )
    await fetch(
        "delete from device_key where tenant_id = $1 and agent_id = $2 and proven_at is null"
        " and created_at < $3",
        tenant_id,
        agent_id,
        now - UNPROVEN_KEY_LIFE,
    )
    return bool(rows)


async def prove_device_key(tenant_id: int, agent_id: int, key_id: int, now: datetime) -> None:
    """Make this the agent's one full key; keys proven before are good for logs only."""
    await fetch(
        "update device_key set"
        " proven_at = case when id = $3 then coalesce(proven_at, $4) else proven_at end,"
        " superseded_at = case when id = $3 then null else coalesce(superseded_at, $4) end,"
        " expires_at = case when id = $3 then null else expires_at end"
        " where tenant_id = $1 and agent_id = $2 and (id = $3 or proven_at is not null)",
        tenant_id,
        agent_id,
        key_id,
        now,
    )


async def note_first_use(tenant_id: int, agent_id: int, key_id: int, now: datetime) -> bool:
    """Take up a full key that calls for the first time: it stays, older ones run out.

    Those are superseded from now on, and end 24 hours later. Returns whether there were any.
    """
    rows = await fetch(
        "update device_key set"
        " first_used_at = case when id = $3 then coalesce(first_used_at, $4) else first_used_at end,"
        " superseded_at = case when id = $3 then null else coalesce(superseded_at, $4) end,"
        " expires_at = case when id = $3 then null"
        " else least(coalesce(expires_at, 'infinity'), $5) end"
        " where tenant_id = $1 and agent_id = $2 and (id = $3 or proven_at is not null)"
        " returning id",
        tenant_id,
        agent_id,
        key_id,
        now,
        now + LOGS_AFTER_SUCCESSOR,
    )
    return len(rows) > 1


async def add_successor(
    tenant_id: int,
    agent_id: int,
    key_hash: bytes,
    now: datetime,
    *,
    expires_at: datetime,
    reason: str,
) -> None:
    """Give an agent one more full key, good until `expires_at` unless it is used before.

    One that was made earlier and never used goes: its answer got lost.
    """
    await fetch(
        "delete from device_key where tenant_id = $1 and agent_id = $2"
        " and proven_at is not null and first_used_at is null and superseded_at is null"
        " and revoked_at is null and expires_at is not null",
        tenant_id,
        agent_id,
    )
    await fetch(
        "insert into device_key"
        " (tenant_id, agent_id, key_hash, created_at, proven_at, expires_at, reason)"
        " values ($1, $2, $3, $4, $4, $5, $6)",
        tenant_id,
        agent_id,
        key_hash,
        now,
        expires_at,
        reason,
    )


async def revoke_keys(tenant_id: int, agent_id: int, now: datetime, reason: str) -> int:
    """End every key of an agent at once; returns how many held until now."""
    rows = await fetch(
        "update device_key set revoked_at = $3, reason = $4"
        " where tenant_id = $1 and agent_id = $2 and revoked_at is null"
        " and (expires_at is null or expires_at > $3) returning id",
        tenant_id,
        agent_id,
        now,
        reason,
    )
    return len(rows)


async def stop_broker_login(tenant_id: int, agent_id: int, now: datetime) -> None:
    """Let an agent no longer log in to the broker; a new key exchange opens its account again."""
    await fetch(
        "update mqtt_account set is_active = false, updated_at = $3"
        " where tenant_id = $1 and agent_id = $2 and endpoint_uuid is null",
        tenant_id,
        agent_id,
        now,
    )


async def page_of_device_keys(
    tenant_id: int, agent_id: int, first: int, after: str | None
) -> OpenSlice[DeviceKey]:
    """Return one page of an agent's keys, newest first; raises InvalidInput for a bad cursor."""
    query = DeviceKey.of(tenant_id, agent_id=agent_id)
    if after is not None:
        at, id_ = read_cursor(after, row_number)
        query = query.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=id_))
    rows = await query.order_by("-created_at", "-id").limit(first + 1)
    items = rows[:first]
    return OpenSlice(items, [cursor_at(row.created_at, row.id) for row in items], len(rows) > first)
