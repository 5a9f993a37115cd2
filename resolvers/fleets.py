"""Fleets: what they are called, and which agents belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType, Severity
from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from core.events import AgentChanged, agents_topic
from core.paging import Slice, page_size
from core.tags import checked_tags
from core.texts import checked_text
from models import fleets
from models.agents import Agent
from models.fleets import NAME_CHARS_MAX, Fleet, FleetCounts, FleetFilter, FleetStatus, FleetType
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.tags import UUIDS_MAX, AgentSelection

__all__ = ["FleetCounts", "FleetFilter"]

ENVIRONMENT_CHARS_MAX: Final = 100
LOCATION_CHARS_MAX: Final = 200
DESCRIPTION_CHARS_MAX: Final = 1_000
POKES_MAX: Final = 100
"""Followers of agents are poked once for each that changed, or once for all beyond this."""


@dataclass(frozen=True, slots=True)
class FleetChanges:
    """New values of a fleet's columns; None leaves one as it is, or at its default."""

    name: str | None = None
    type: FleetType | None = None
    environment: str | None = None
    location: str | None = None
    description: str | None = None
    tags: object | None = None

    def checked(self) -> dict[str, object]:
        """Return the given values by column; raises InvalidInput."""
        found: dict[str, object] = {}
        if self.name is not None:
            found["name"] = checked_text("name", self.name, NAME_CHARS_MAX, chars_min=1)
        if self.type is not None:
            found["type"] = self.type
        for field, text, most in (
            ("environment", self.environment, ENVIRONMENT_CHARS_MAX),
            ("location", self.location, LOCATION_CHARS_MAX),
            ("description", self.description, DESCRIPTION_CHARS_MAX),
        ):
            if text is not None:
                found[field] = checked_text(field, text, most)
        if self.tags is not None:
            found["tags"] = checked_tags(self.tags)
        return found


@dataclass(frozen=True, slots=True)
class Joining:
    """Who joined a fleet and who did not; each list holds at most 1,000.

    `elsewhere` are members of another fleet, which only `move` takes from there. `joined` counts
    all that joined.
    """

    fleet: Fleet
    joined: int
    added: list[UUID]
    already_member: list[UUID]
    elsewhere: list[UUID]
    not_found: list[UUID]


@dataclass(frozen=True, slots=True)
class Leaving:
    """Who left a fleet: how many, and at most 1,000 of them."""

    fleet: Fleet
    left: int
    removed: list[UUID]


@allow(Permission.DEVICE_READ)
async def get_fleet(ctx: Context, fleet_id: UUID) -> Fleet:
    """Return one fleet. Raises NotFound."""
    with database_errors():
        return await Fleet.find_row(ctx.tenant_id, id=fleet_id, deleted_at=None)


@allow(Permission.DEVICE_READ)
async def find_fleets(ctx: Context, fleet_ids: Sequence[UUID]) -> dict[UUID, Fleet]:
    """Return those of the fleets that there are, in one query."""
    with database_errors():
        rows = await Fleet.with_any(ctx.tenant_id, "id", sorted(set(fleet_ids)))
    return {row.id: row for row in rows if row.deleted_at is None}


@allow(Permission.DEVICE_READ)
async def list_fleets(
    ctx: Context, wanted: FleetFilter, first: int, after: str | None
) -> Slice[Fleet]:
    """Return fleets by name, `first` at a time; deleted ones only when asked for."""
    with database_errors():
        return await fleets.page_of_fleets(ctx.tenant_id, wanted, page_size(first), after)


@allow(Permission.DEVICE_READ)
async def count_members(ctx: Context, fleet_ids: Sequence[UUID]) -> dict[UUID, FleetCounts]:
    """Return how many agents fleets have, in one query; those without any are left out."""
    with database_errors():
        return await fleets.count_members(ctx.tenant_id, fleet_ids)


@allow(Permission.DEVICE_READ)
async def list_members(
    ctx: Context, fleet_ids: Sequence[UUID], first: int
) -> dict[UUID, list[Agent]]:
    """Return the first agents of each fleet by name, in one query."""
    with database_errors():
        return await fleets.first_members(ctx.tenant_id, fleet_ids, page_size(first))


@allow(Permission.DEVICE_WRITE)
async def create_fleet(ctx: Context, values: FleetChanges) -> Fleet:
    """Make a fleet. Raises Conflict when another one has its name, whatever the case."""
    if values.name is None:
        raise InvalidInput("name", "is required")
    wanted, now = values.checked(), ctx.clock.now()
    fleet = Fleet(
        id=ctx.ids.uuid(),
        tenant_id=ctx.tenant_id,
        **({"type": FleetType.PHYSICAL} | wanted),
        created_at=now,
        updated_at=now,
    )
    try:
        async with unit_of_work(ctx) as work:
            await fleet.save(force_create=True)
            work.record(AuditEntry(AuditType.FLEET_CREATED, f"fleet:{fleet.id}", after=wanted))
    except IntegrityError:
        raise _name_taken(fleet.name) from None
    return fleet


@allow(Permission.DEVICE_WRITE)
async def update_fleet(
    ctx: Context, fleet_id: UUID, changes: FleetChanges, *, if_version: int | None = None
) -> Fleet:
    """Change a fleet; its version grows by one. Tags are replaced as a whole.

    Raises NotFound, Conflict for a name that is taken, PreconditionFailed unless `if_version` is
    the present one.
    """
    wanted = changes.checked()
    try:
        async with unit_of_work(ctx) as work:
            fleet = await _locked(ctx, fleet_id)
            if if_version is not None and if_version != fleet.version:
                raise PreconditionFailed(
                    f"The fleet has version {fleet.version}, not {if_version}",
                    version=fleet.version,
                )
            before = {column: getattr(fleet, column) for column in wanted}
            if before == wanted:
                return fleet
            fleet.update_from_dict(wanted)
            await _save(ctx, fleet, *wanted)
            work.record(
                AuditEntry(
                    AuditType.FLEET_UPDATED, f"fleet:{fleet_id}", before=before, after=wanted
                )
            )
    except IntegrityError:
        raise _name_taken(changes.name) from None
    return fleet


@allow(Permission.DEVICE_DELETE)
async def delete_fleet(ctx: Context, fleet_id: UUID) -> Fleet:
    """Delete a fleet; its agents leave it, and its provisioning keys let agents in without one."""
    async with unit_of_work(ctx) as work:
        fleet = await _locked(ctx, fleet_id)
        where = AgentSelection(fleet_id=fleet_id).conditions(ctx.tenant_id)
        left = await fleets.take_out_of_fleet(where, fleet_id, ctx.clock.now())
        fleet.status = FleetStatus.DELETED
        fleet.deleted_at = ctx.clock.now()
        await _save(ctx, fleet, "status", "deleted_at")
        _poke(ctx, work, left)
        work.record(
            AuditEntry(
                AuditType.FLEET_DELETED,
                f"fleet:{fleet_id}",
                severity=Severity.WARNING,
                before={"name": fleet.name},
                details={"agents": len(left)},
            )
        )
    return fleet


@allow(Permission.DEVICE_WRITE)
async def add_agents(
    ctx: Context, fleet_id: UUID, select: AgentSelection, *, move: bool = False
) -> Joining:
    """Let agents join a fleet; with `move` also those that leave another one for it."""
    where = select.conditions(ctx.tenant_id)
    async with unit_of_work(ctx) as work:
        fleet = await _held(ctx, fleet_id)
        found = await fleets.put_into_fleet(where, fleet_id, ctx.clock.now(), move=move)
        others = [uuid for uuid, former in found if former not in {None, fleet_id}]
        added = [uuid for uuid, former in found if former is None] + (others if move else [])
        if added:
            _poke(ctx, work, added)
            _record_members(work, fleet_id, joined=added)
    missing = set(select.uuids or ()) - {uuid for uuid, _ in found}
    return Joining(
        fleet,
        len(added),
        added[:UUIDS_MAX],
        [uuid for uuid, former in found if former == fleet_id][:UUIDS_MAX],
        [] if move else others[:UUIDS_MAX],
        sorted(missing),
    )


@allow(Permission.DEVICE_WRITE)
async def remove_agents(ctx: Context, fleet_id: UUID, select: AgentSelection) -> Leaving:
    """Let agents leave a fleet; those that are not in it stay as they are."""
    where = select.conditions(ctx.tenant_id)
    async with unit_of_work(ctx) as work:
        fleet = await _held(ctx, fleet_id)
        left = await fleets.take_out_of_fleet(where, fleet_id, ctx.clock.now())
        if left:
            _poke(ctx, work, left)
            _record_members(work, fleet_id, left=left)
    return Leaving(fleet, len(left), left[:UUIDS_MAX])


async def _locked(ctx: Context, fleet_id: UUID) -> Fleet:
    query = Fleet.of(ctx.tenant_id, id=fleet_id, deleted_at=None).select_for_update()
    fleet = await query.first()
    if fleet is None:
        raise NotFound("fleet", fleet_id)
    return fleet


async def _held(ctx: Context, fleet_id: UUID) -> Fleet:
    if not await fleets.hold_fleet(ctx.tenant_id, fleet_id):
        raise NotFound("fleet", fleet_id)
    return await Fleet.find_row(ctx.tenant_id, id=fleet_id)


async def _save(ctx: Context, fleet: Fleet, *columns: str) -> None:
    fleet.version += 1
    fleet.updated_at = ctx.clock.now()
    await fleet.save(update_fields=[*columns, "version", "updated_at"])


def _poke(ctx: Context, work: Work, changed: Sequence[UUID]) -> None:
    told: Sequence[UUID | None] = changed if len(changed) <= POKES_MAX else [None]
    for uuid in told:
        work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, uuid))


def _record_members(work: Work, fleet_id: UUID, **changed: Sequence[UUID]) -> None:
    details = {what: len(uuids) for what, uuids in changed.items()}
    some = {what: [str(uuid) for uuid in uuids[:POKES_MAX]] for what, uuids in changed.items()}
    work.record(
        AuditEntry(
            AuditType.FLEET_MEMBERS_CHANGED, f"fleet:{fleet_id}", after=some, details=details
        )
    )


def _name_taken(name: str | None) -> Conflict:
    return Conflict(f"A fleet named {name!r} exists already", field="name")
