"""Tenants: the organisations that own everything else."""

from __future__ import annotations

from tortoise import fields

from models.base import GlobalModel


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
