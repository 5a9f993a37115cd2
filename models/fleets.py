"""Fleets: named groups of agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from tortoise import fields

from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.agents import Agent
from models.base import TenantModel
from models.conditions import Conditions
from models.connection import fetch

NAME_CHARS_MAX: Final = 200


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


@dataclass(frozen=True, slots=True)
class FleetFilter:
    """Which fleets: None means all, of those that are not deleted. `text` is a part of the name."""

    type: FleetType | None = None
    status: FleetStatus | None = None
    environment: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """How many agents a fleet has, and how many of them are online or may use the system."""

    agents: int = 0
    online: int = 0
    active: int = 0


async def page_of_fleets(
    tenant_id: int, wanted: FleetFilter, first: int, after: str | None
) -> Slice[Fleet]:
    """Return one page of fleets by name; raises InvalidInput for a bad cursor."""
    where = _conditions(tenant_id, wanted)
    (total,) = await fetch(
        f"select count(*) as number from fleet where {where}",  # noqa: S608  (parameters only)
        *where.values,
    )
    if after is not None:
        where.add("(name, id) > ({}, {})", *_read_cursor(after))
    found = await fetch(
        f"select {Fleet.columns()} from fleet where {where}"  # noqa: S608  (as above)
        f" order by name, id limit {first + 1}",
        *where.values,
    )
    items = [Fleet.of_record(row) for row in found[:first]]
    cursors = [encode_cursor(json.dumps([row.name, str(row.id)])) for row in items]
    return Slice(items, cursors, len(found) > first, total["number"])


async def count_members(tenant_id: int, fleet_ids: Sequence[UUID]) -> dict[UUID, FleetCounts]:
    """Return the counts of fleets that have agents, in one statement."""
    rows = await fetch(
        "select fleet_id, count(*) as agents, count(*) filter (where is_online) as online,"
        " count(*) filter (where is_active) as active from agent"
        " where tenant_id = $1 and fleet_id = any($2::uuid[]) group by fleet_id",
        tenant_id,
        list(fleet_ids),
    )
    return {
        row["fleet_id"]: FleetCounts(row["agents"], row["online"], row["active"]) for row in rows
    }


async def first_members(
    tenant_id: int, fleet_ids: Sequence[UUID], first: int
) -> dict[UUID, list[Agent]]:
    """Return the first agents of each fleet by name, in one statement."""
    rows = await fetch(
        f"select m.* from unnest($2::uuid[]) as wanted(id) cross join lateral ("  # noqa: S608
        f" select {Agent.columns()} from agent"
        " where tenant_id = $1 and fleet_id = wanted.id order by name, id limit $3) m",
        tenant_id,
        list(fleet_ids),
        first,
    )
    found: dict[UUID, list[Agent]] = {fleet_id: [] for fleet_id in fleet_ids}
    for row in rows:
        found[row["fleet_id"]].append(Agent.of_record(row))
    return found


async def hold_fleet(tenant_id: int, fleet_id: UUID | None) -> UUID | None:
    """Keep a fleet from being deleted until the transaction ends; None when there is none."""
    rows = await fetch(
        "select id from fleet where tenant_id = $1 and id = $2 and deleted_at is null for share",
        tenant_id,
        fleet_id,
    )
    return fleet_id if rows else None


async def put_into_fleet(
    where: Conditions, fleet_id: UUID, now: datetime, *, move: bool
) -> list[tuple[UUID, UUID | None]]:
    """Let agents that meet the conditions join a fleet, those of another one only with `move`.

    Returns uuid and former fleet of all that meet them. Rows are locked in the order of their ids.
    """
    to, at, moves = (where.parameter(each) for each in (fleet_id, now, move))
    rows = await fetch(
        "with matched as ("  # noqa: S608  (parameters only)
        f" select id, uuid, fleet_id from agent where {where} order by id for update),"
        f" written as (update agent a set fleet_id = {to}::uuid, changed_at = {at} from matched"
        " where a.tenant_id = $1 and a.id = matched.id"
        f" and (matched.fleet_id is null or {moves}::bool and matched.fleet_id <> {to}))"
        " select uuid, fleet_id from matched order by id",
        *where.values,
    )
    return [(row["uuid"], row["fleet_id"]) for row in rows]


async def take_out_of_fleet(where: Conditions, fleet_id: UUID, now: datetime) -> list[UUID]:
    """Let agents that meet the conditions leave a fleet; returns who did."""
    where.add("fleet_id = {}", fleet_id)
    at = where.parameter(now)
    rows = await fetch(
        f"with leaving as (select id from agent where {where} order by id for update)"  # noqa: S608
        f" update agent a set fleet_id = null, changed_at = {at} from leaving"
        " where a.tenant_id = $1 and a.id = leaving.id returning a.uuid",
        *where.values,
    )
    return [row["uuid"] for row in rows]


def _conditions(tenant_id: int, wanted: FleetFilter) -> Conditions:
    where = Conditions(tenant_id)
    if wanted.status is not FleetStatus.DELETED:
        where.add("deleted_at is null")
    if wanted.status is not None:
        where.add("status = {}", wanted.status)
    if wanted.type is not None:
        where.add("type = {}", wanted.type)
    for field, text in (("environment", wanted.environment), ("text", wanted.text)):
        if text is not None and (len(text) > NAME_CHARS_MAX or "\x00" in text):
            raise InvalidInput(field, f"must have at most {NAME_CHARS_MAX} characters and no NUL")
    if wanted.environment is not None:
        where.add("environment = {}", wanted.environment)
    if wanted.text:
        where.add("strpos(lower(name), lower({})) > 0", wanted.text)
    return where


def _read_cursor(after: str) -> tuple[str, UUID]:
    try:
        name, id_ = json.loads(decode_cursor(after))
        name.encode()  # half a character, which no name holds
        if "\x00" not in name:
            return name, UUID(id_)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidInput("after", "is not a cursor of this list")
