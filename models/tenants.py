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
