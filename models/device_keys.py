"""Device keys: the credentials that agents come with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise import fields

from models.base import TenantModel
from models.connection import fetch

UNPROVEN_KEY_LIFE = timedelta(days=1)


class DeviceKey(TenantModel):
    """A credential of an agent, stored as a digest.

    Good for everything once `proven_at` is set, and for log upload only after `superseded_at`:
    a re-provisioned agent goes on sending logs with its old key until it restarts.
    """

    noun = "device key"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    key_hash = fields.BinaryField()
    created_at = fields.DatetimeField()
    proven_at = fields.DatetimeField(null=True)
    superseded_at = fields.DatetimeField(null=True)

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


async def find_key_holder(key_hash: bytes) -> KeyHolder | None:
    """Return whose device key this is; the key itself names the tenant. One statement."""
    rows = await fetch(
        "select a.tenant_id, a.id as agent_id, a.uuid as agent_uuid, k.id as key_id, a.is_active,"
        " k.proven_at is not null as is_proven, k.superseded_at is not null as is_superseded"
        " from device_key k join agent a on a.id = k.agent_id and a.tenant_id = k.tenant_id"
        " where k.key_hash = $1",
        key_hash,
    )
    return KeyHolder(**rows[0]) if rows else None


async def put_device_key(tenant_id: int, agent_id: int, key_hash: bytes, now: datetime) -> bool:
    """Register a device key for an agent; False when another agent has it already.

    Keys that were never proven go after a day, so that they cannot pile up.
    """
    rows = await fetch(
        "insert into device_key (tenant_id, agent_id, key_hash, created_at) values ($1, $2, $3, $4)"
        " on conflict (key_hash) do update set created_at = case"
        " when device_key.proven_at is null then excluded.created_at"
        " else device_key.created_at end"
        " where device_key.tenant_id = $1 and device_key.agent_id = $2 returning id",
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
        " superseded_at = case when id = $3 then null else coalesce(superseded_at, $4) end"
        " where tenant_id = $1 and agent_id = $2 and (id = $3 or proven_at is not null)",
        tenant_id,
        agent_id,
        key_id,
        now,
    )
