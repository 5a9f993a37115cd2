"""Tenants: the organisations that own everything else."""

from __future__ import annotations

from tortoise import fields
from tortoise.expressions import Q

from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import GlobalModel
from models.connection import fetch


class Tenant(GlobalModel):
    """An organisation. `id` keys its rows; `uuid` is what agents and topics see."""

    id = fields.IntField(primary_key=True)
    uuid = fields.UUIDField(default=None, unique=True)
    name = fields.CharField(max_length=200)
    created_at = fields.DatetimeField()

    class Meta:
        table = "tenant"


async def find_tenant_named(name: str) -> Tenant | None:
    """Return the oldest tenant of this name."""
    return await Tenant.filter(name=name).order_by("id").first()


async def get_tenant(tenant_id: int) -> Tenant:
    """Return the tenant; it is known to exist, a row of it was just read."""
    return await Tenant.get(id=tenant_id)


async def first_tenant() -> Tenant | None:
    """Return the installation's own tenant, which is the oldest."""
    return await Tenant.all().order_by("id").first()


_LOCK = 0x74656E61  # "tena"


async def lock_tenants() -> None:
    """Let one transaction at a time make or rename tenants, so that no two have one name."""
    await fetch("select pg_advisory_xact_lock($1)", _LOCK)


async def page_of_tenants(first: int, after: str | None) -> Slice[Tenant]:
    """Return one page of all tenants, by name; raises InvalidInput for a bad cursor."""
    behind = [_behind(after)] if after is not None else []
    rows = await Tenant.filter(*behind).order_by("name", "id").limit(first + 1)
    items = rows[:first]
    cursors = [encode_cursor(f"{row.id} {row.name}") for row in items]
    return Slice(items, cursors, len(rows) > first, await Tenant.all().count())


def _behind(after: str) -> Q:
    id_text, _, name = decode_cursor(after).partition(" ")
    if not id_text.isdecimal() or len(id_text) > 9:
        raise InvalidInput("after", "is not a cursor of this list")
    return Q(name__gt=name) | Q(name=name, id__gt=int(id_text))
