"""Accounts on the broker: the one truth; brokers are made to agree with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise import fields

from models.base import TenantModel
from models.connection import fetch


class MqttAccount(TenantModel):
    """A user of the broker.

    For agents the user name is `<T>/a/<A>`; for the sensors of one of their MQTT endpoints it is
    `<T>/d/<endpoint>`, and both ids are set. All others belong to people and their programs.
    """

    noun = "MQTT account"

    id = fields.IntField(primary_key=True)
    username = fields.CharField(max_length=200, unique=True)
    password_hash = fields.TextField()
    agent_id = fields.IntField(null=True)
    endpoint_uuid = fields.UUIDField(default=None, null=True)
    is_superuser = fields.BooleanField(default=False)
    description = fields.CharField(max_length=500, default="")
    created_by = fields.UUIDField(default=None, null=True)
    is_active = fields.BooleanField(default=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "mqtt_account"
        indexes = (("tenant_id", "agent_id"),)


@dataclass(frozen=True, slots=True)
class ActiveAccount:
    """Who may log in, and the topics and access bits of all its lines, its roles' included."""

    username: str
    password_hash: str
    is_superuser: bool
    topics: list[str]
    accesses: list[int]


_ACTIVE = """
select m.username, m.password_hash, m.is_superuser,
       coalesce(l.topics, '{}') as topics, coalesce(l.accesses, '{}') as accesses
from mqtt_account m
left join agent a on a.id = m.agent_id and a.tenant_id = m.tenant_id
left join (
    select tenant_id, account_id, array_agg(topic order by topic, access) as topics,
           array_agg(access order by topic, access) as accesses
    from (select tenant_id, account_id, topic, access from mqtt_acl where account_id is not null
          union select h.tenant_id, h.account_id, l.topic, l.access from mqtt_account_role h
          join mqtt_acl l on l.tenant_id = h.tenant_id and l.role_id = h.role_id) as line
    group by 1, 2) l on l.tenant_id = m.tenant_id and l.account_id = m.id
where m.is_active and (m.agent_id is null or a.is_active)
"""


async def active_accounts() -> list[ActiveAccount]:
    """Return who may log in, over all tenants, by name, in one statement.

    An agent that is deactivated may not, nor may its sensors, whatever their accounts say.
    """
    return [ActiveAccount(**row) for row in await fetch(f"{_ACTIVE} order by m.username")]


async def find_active_account(username: str) -> ActiveAccount | None:
    """Return one of those who may log in."""
    rows = await fetch(f"{_ACTIVE} and m.username = $1", username)
    return ActiveAccount(**rows[0]) if rows else None


async def put_account(
    tenant_id: int,
    username: str,
    password_hash: str,
    agent_id: int,
    now: datetime,
    endpoint_uuid: UUID | None = None,
) -> int | None:
    """Create or replace the account of an agent, or of its endpoint, and let it log in.

    Returns its id; None when another tenant has the name, or another agent the endpoint.
    """
    rows = await fetch(
        "insert into mqtt_account (tenant_id, username, password_hash, agent_id, endpoint_uuid,"
        " is_active, created_at, updated_at) values ($1, $2, $3, $4, $6, true, $5, $5)"
        " on conflict (username) do update set password_hash = excluded.password_hash,"
        " agent_id = excluded.agent_id, is_active = true, updated_at = excluded.updated_at"
        " where mqtt_account.tenant_id = excluded.tenant_id"
        " and (excluded.endpoint_uuid is null or mqtt_account.agent_id = excluded.agent_id)"
        " returning id",
        tenant_id,
        username,
        password_hash,
        agent_id,
        now,
        endpoint_uuid,
    )
    return rows[0]["id"] if rows else None


async def delete_endpoint_account(tenant_id: int, agent_id: int, endpoint_uuid: UUID) -> bool:
    """Delete the account of an endpoint with its lines; False when there is none."""
    rows = await fetch(
        "delete from mqtt_account where tenant_id = $1 and agent_id = $2 and endpoint_uuid = $3"
        " returning id",
        tenant_id,
        agent_id,
        endpoint_uuid,
    )
    return bool(rows)


async def put_only_line(
    tenant_id: int, account_id: int, topic: str, access: int, now: datetime
) -> None:
    """Give an account this one ACL line, instead of those that it has."""
    await fetch(
        "delete from mqtt_acl where tenant_id = $1 and account_id = $2", tenant_id, account_id
    )
    await fetch(
        "insert into mqtt_acl (tenant_id, account_id, topic, access, created_at)"
        " values ($1, $2, $3, $4, $5)",
        tenant_id,
        account_id,
        topic,
        access,
        now,
    )


async def usernames_of(tenant_id: int, agent_ids: Sequence[int]) -> dict[int, str]:
    """Return the account's name of each of these agents that has one."""
    rows = await fetch(
        "select agent_id, username from mqtt_account"
        " where tenant_id = $1 and agent_id = any($2::int[]) and endpoint_uuid is null",
        tenant_id,
        list(agent_ids),
    )
    return {row["agent_id"]: row["username"] for row in rows}
