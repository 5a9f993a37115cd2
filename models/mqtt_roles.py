"""Roles of the broker, and the ACL lines of roles and of single accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tortoise import fields
from tortoise.exceptions import IntegrityError

from core.errors import Conflict, InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import TenantModel
from models.connection import fetch
from models.pages import row_number


class MqttRole(TenantModel):
    """ACL lines under one name, for all accounts that have the role."""

    noun = "MQTT role"

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=100)
    description = fields.CharField(max_length=500, default="")
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "mqtt_role"


class MqttAcl(TenantModel):
    """What an account, or whoever has a role, may do on the topics of a filter.

    `access` has bits: 1 to read, 2 to write, 4 to subscribe. `priority` is kept for clients that
    send one: lines only ever grant, so their order means nothing.
    """

    noun = "ACL line"

    id = fields.IntField(primary_key=True)
    account_id = fields.IntField(null=True)
    role_id = fields.IntField(null=True)
    topic = fields.CharField(max_length=1024)
    access = fields.SmallIntField()
    priority = fields.IntField(default=0)
    created_at = fields.DatetimeField()

    class Meta:
        table = "mqtt_acl"


async def page_of_roles(tenant_id: int, first: int, after: str | None) -> Slice[MqttRole]:
    """Return one page of a tenant's roles by name; raises InvalidInput for a bad cursor."""
    query = MqttRole.of(tenant_id)
    total = await query.count()
    if after is not None:
        query = query.filter(name__gt=decode_cursor(after))
    rows = await query.order_by("name").limit(first + 1)
    items = rows[:first]
    return Slice(items, [encode_cursor(row.name) for row in items], len(rows) > first, total)


async def page_of_lines(
    tenant_id: int, owned: Mapping[str, int], first: int, after: str | None
) -> Slice[MqttAcl]:
    """Return one page of a tenant's lines, oldest first; raises InvalidInput for a bad cursor.

    `owned` has the column that says whose lines; without it, everybody's.
    """
    query = MqttAcl.of(tenant_id, **owned)
    total = await query.count()
    if after is not None:
        try:
            query = query.filter(id__gt=row_number(decode_cursor(after)))
        except ValueError:
            raise InvalidInput("after", "is not a cursor of this list") from None
    rows = await query.order_by("id").limit(first + 1)
    items = rows[:first]
    return Slice(items, [encode_cursor(str(row.id)) for row in items], len(rows) > first, total)


async def roles_of_accounts(
    tenant_id: int, account_ids: Sequence[int]
) -> dict[int, list[MqttRole]]:
    """Return the roles of each of these accounts by name, in one statement."""
    columns = ", ".join(f"r.{column}" for column in MqttRole.columns().split(", "))
    rows = await fetch(
        f"select h.account_id, {columns} from mqtt_account_role h"  # noqa: S608  (names of our own)
        " join mqtt_role r on r.tenant_id = h.tenant_id and r.id = h.role_id"
        " where h.tenant_id = $1 and h.account_id = any($2::int[]) order by r.name",
        tenant_id,
        list(account_ids),
    )
    found: dict[int, list[MqttRole]] = {}
    for row in rows:
        found.setdefault(row.pop("account_id"), []).append(MqttRole.of_record(row))
    return found


async def set_roles(tenant_id: int, account_id: int, role_ids: Sequence[int]) -> None:
    """Give an account exactly these roles."""
    await fetch(
        "delete from mqtt_account_role where tenant_id = $1 and account_id = $2",
        tenant_id,
        account_id,
    )
    await fetch(
        "insert into mqtt_account_role (tenant_id, account_id, role_id)"
        " select $1, $2, unnest($3::int[])",
        tenant_id,
        account_id,
        list(role_ids),
    )


async def count_granted(tenant_id: int) -> int:
    """Return how many lines a tenant's accounts have in all: a role's count for each that has it."""
    rows = await fetch(
        "select (select count(*) from mqtt_acl where tenant_id = $1 and account_id is not null)"
        " + (select count(*) from mqtt_account_role h join mqtt_acl l"
        " on l.tenant_id = h.tenant_id and l.role_id = h.role_id where h.tenant_id = $1) as number",
        tenant_id,
    )
    return int(rows[0]["number"])


async def topics_of(tenant_id: int, account_id: int | None, role_ids: Sequence[int]) -> list[str]:
    """Return the topics of all lines of an account itself, and of these roles."""
    rows = await fetch(
        "select distinct topic from mqtt_acl where tenant_id = $1"
        " and (account_id = $2 or role_id = any($3::int[]))",
        tenant_id,
        account_id,
        list(role_ids),
    )
    return [row["topic"] for row in rows]


@contextmanager
def taken_role_names() -> Iterator[None]:
    """Turn the refusal of a name that another role of the tenant has into Conflict."""
    try:
        yield
    except IntegrityError:
        raise Conflict("Another role has this name", field="name") from None
