"""How credentials stand that were good a while ago; for people see models/users.py."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from core.callers import Role
from models.connection import fetch


async def find_standing_keys(
    tenant_id: int, ids: Collection[UUID], now: datetime
) -> dict[UUID, Role]:
    """Return, of the tenant's API keys that are good, the role of the person behind each."""
    rows = await fetch(
        "select k.id, u.role from api_key k"
        " join user_account u on u.tenant_id = k.tenant_id and u.id = k.user_id"
        " where k.tenant_id = $1 and k.id = any($2) and k.revoked_at is null and u.is_active"
        " and (k.expires_at is null or k.expires_at > $3)",
        tenant_id,
        list(ids),
        now,
    )
    return {row["id"]: Role(row["role"]) for row in rows}


async def find_standing_device_keys(tenant_id: int, ids: Collection[int]) -> dict[int, bool]:
    """Return, of the tenant's device keys whose agent is active, whether each is superseded."""
    rows = await fetch(
        "select k.id, k.superseded_at is not null as is_superseded from device_key k"
        " join agent a on a.tenant_id = k.tenant_id and a.id = k.agent_id"
        " where k.tenant_id = $1 and k.id = any($2) and a.is_active",
        tenant_id,
        list(ids),
    )
    return {row["id"]: row["is_superseded"] for row in rows}
