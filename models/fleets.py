"""Fleets: named groups of agents."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields

from models.base import TenantModel


class FleetType(StrEnum):
    """What its gateways are."""

    PHYSICAL = "physical"
    VIRTUAL = "virtual"
    MIXED = "mixed"


class FleetStatus(StrEnum):
    """Where a fleet stands; a deleted one keeps its row for the record."""

    ACTIVE = "active"
    STOPPED = "stopped"
    DELETED = "deleted"


class Fleet(TenantModel):
    """A group; an agent belongs to one at most (`Agent.fleet_id`)."""

    noun = "fleet"

    id = fields.UUIDField(primary_key=True, default=None)
    name = fields.CharField(max_length=200)
    type = fields.CharEnumField(FleetType, max_length=20)
    status = fields.CharEnumField(FleetStatus, max_length=20, default=FleetStatus.ACTIVE)
    environment = fields.CharField(max_length=100, default="")
    location = fields.CharField(max_length=200, default="")
    description = fields.CharField(max_length=1000, default="")
    tags: fields.Field[dict[str, str]] = fields.JSONField(default=dict)
    version = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "fleet"
