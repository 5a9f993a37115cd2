"""Accounts on the broker: the one truth; brokers are made to agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tortoise import fields

from models.base import TenantModel
from models.connection import fetch


class MqttAccount(TenantModel):
    """A user of the broker. For agents the user name is `<T>/a/<A>`."""

    noun = "MQTT account"

    id = fields.IntField(primary_key=True)
    username = fields.CharField(max_length=200, unique=True)
    password_hash = fields.TextField()
    agent_id = fields.IntField(null=True)
    is_active = fields.BooleanField(default=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "mqtt_account"
        indexes = (("tenant_id", "agent_id"),)


async def active_accounts() -> list[tuple[str, str]]:
    """Return name and password hash of who may log in, over all tenants, by name.

    An agent that is deactivated may not, whatever its account says.
    """
    rows = await fetch(
        "select m.username, m.password_hash from mqtt_account m"
        " left join agent a on a.id = m.agent_id and a.tenant_id = m.tenant_id"
        " where m.is_active and (m.agent_id is null or a.is_active) order by m.username"
    )
    return [(row["username"], row["password_hash"]) for row in rows]


async def put_account(
    tenant_id: int, username: str, password_hash: str, agent_id: int, now: datetime
) -> None:
    """Create or replace the account of an agent and let it log in."""
    await fetch(
        "insert into mqtt_account"
        " (tenant_id, username, password_hash, agent_id, is_active, created_at, updated_at)"
        " values ($1, $2, $3, $4, true, $5, $5)"
        " on conflict (username) do update set password_hash = excluded.password_hash,"
        " agent_id = excluded.agent_id, is_active = true, updated_at = excluded.updated_at"
        " where mqtt_account.tenant_id = excluded.tenant_id",
        tenant_id,
        username,
        password_hash,
        agent_id,
        now,
    )


async def usernames_of(tenant_id: int, agent_ids: Sequence[int]) -> dict[int, str]:
    """Return the account's name of each of these agents that has one."""
    rows = await fetch(
        "select agent_id, username from mqtt_account"
        " where tenant_id = $1 and agent_id = any($2::int[])",
        tenant_id,
        list(agent_ids),
    )
    return {row["agent_id"]: row["username"] for row in rows}
