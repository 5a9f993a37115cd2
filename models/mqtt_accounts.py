"""Accounts on the broker: the one truth; brokers are made to agree with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from core.errors import Conflict
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import TenantModel
from models.connection import fetch


class AccountKind(StrEnum):
    """Whom an account is for."""

    PERSON = "person"  # or a program of theirs
    AGENT = "agent"
    SENSOR = "sensor"  # of an agent's MQTT endpoint


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

    @property
    def kind(self) -> AccountKind:
        """Whom it is for."""
        if self.agent_id is None:
            return AccountKind.PERSON
        return AccountKind.AGENT if self.endpoint_uuid is None else AccountKind.SENSOR


_OF_KIND: Final = {
    AccountKind.PERSON: Q(agent_id=None),
    AccountKind.AGENT: Q(agent_id__not_isnull=True, endpoint_uuid=None),
    AccountKind.SENSOR: Q(agent_id__not_isnull=True, endpoint_uuid__not_isnull=True),
}


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
where m.is_active
      and (m.agent_id is null or a.is_active and a.provisioning_state = 'provisioned')
"""


async def active_accounts() -> list[ActiveAccount]:
    """Return who may log in, over all tenants, by name, in one statement.

    An agent that is deactivated or has no key that holds may not, nor may its sensors, whatever
    their accounts say.
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


async def page_of_accounts(
    tenant_id: int, kind: AccountKind | None, first: int, after: str | None
) -> Slice[MqttAccount]:
    """Return one page of a tenant's accounts by name; raises InvalidInput for a bad cursor."""
    query = MqttAccount.of(tenant_id, *([] if kind is None else [_OF_KIND[kind]]))
    total = await query.count()
    if after is not None:
        query = query.filter(username__gt=decode_cursor(after))
    rows = await query.order_by("username").limit(first + 1)
    items = rows[:first]
    cursors = [encode_cursor(row.username) for row in items]
    return Slice(items, cursors, len(rows) > first, total)


@contextmanager
def taken_account_names() -> Iterator[None]:
    """Turn the refusal of a name that an account has, of whatever tenant, into Conflict."""
    try:
        yield
    except IntegrityError:
        raise Conflict("This name is taken", field="username") from None


async def usernames_of(tenant_id: int, agent_ids: Sequence[int]) -> dict[int, str]:
    """Return the account's name of each of these agents that has one."""
    rows = await fetch(
        "select agent_id, username from mqtt_account"
        " where tenant_id = $1 and agent_id = any($2::int[]) and endpoint_uuid is null",
        tenant_id,
        list(agent_ids),
    )
    return {row["agent_id"]: row["username"] for row in rows}
