"""Provisioning keys: secrets that people hand out so that agents may register."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from core.access import Permission, allow
from core.callers import Role
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.ids import secret_hash
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from models.fleets import hold_fleet
from models.provisioning import (
    KeyFilter,
    ProvisioningKey,
    find_provisioning_key,
    lock_key,
    page_of_keys,
)
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.provisioning_record import key_made, key_revoked

PROVISIONING_KEY_PURPOSE: Final = "provisioning-key"
AGENTS_MAX: Final = 10_000
EXPIRES_DAYS_MAX: Final = 3_650
DESCRIPTION_CHARS_MAX: Final = 500
KEY_CHARS_MAX: Final = 200
REASON_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class NewProvisioningKey:
    """A key at the only moment at which its text is known."""

    row: ProvisioningKey
    key: str


@allow(Permission.PROVISIONING_MANAGE, Permission.SYSTEM)
async def create_provisioning_key(
    ctx: Context,
    *,
    description: str = "",
    agents_max: int = 1,
    expires_in_days: int = 365,
    fleet_uuid: UUID | None = None,
    replaces: UUID | None = None,
    key: str | None = None,
) -> NewProvisioningKey:
    """Make a key for `agents_max` agents, one unless told otherwise; its text is shown only here.

    `replaces` is a key that is revoked along with it. Only the system may bring its own text;
    bringing the same again returns the first row. Raises NotFound for a fleet or a replaced key.
    """
    _between(agents_max, "agentsMax", AGENTS_MAX)
    _between(expires_in_days, "expiresInDays", EXPIRES_DAYS_MAX)
    if len(description) > DESCRIPTION_CHARS_MAX or "\x00" in description:
        raise InvalidInput("description", f"must have at most {DESCRIPTION_CHARS_MAX} characters")
    if key is not None and ctx.caller.role is not Role.SYSTEM:
        raise Forbidden("Only the system may choose a provisioning key")
    if key is not None and not 1 <= len(key) <= KEY_CHARS_MAX:
        raise InvalidInput("key", f"must have 1 to {KEY_CHARS_MAX} characters")
    text = ctx.ids.secret_hex(32) if key is None else key
    key_hash = secret_hash(PROVISIONING_KEY_PURPOSE, text)
    now = ctx.clock.now()
    try:
        async with unit_of_work(ctx) as work:
            if fleet_uuid is not None and not await hold_fleet(ctx.tenant_id, fleet_uuid):
                raise NotFound("fleet", fleet_uuid)
            row = await ProvisioningKey.create(
                id=ctx.ids.uuid(),
                tenant_id=ctx.tenant_id,
                key_hash=key_hash,
                description=description,
                fleet_uuid=fleet_uuid,
                agents_max=agents_max,
                expires_at=now + timedelta(days=expires_in_days),
                created_at=now,
                created_by=ctx.caller.user_id,
            )
            work.record(key_made(row))
            if replaces is not None:
                await _revoke(ctx, work, replaces, f"replaced by {row.id}")
    except IntegrityError:
        row = await _existing_key(ctx, key_hash)
    return NewProvisioningKey(row, text)


@allow(Permission.PROVISIONING_READ)
async def list_provisioning_keys(
    ctx: Context,
    first: int = PAGE_SIZE_MAX,
    after: str | None = None,
    *,
    fleet_uuid: UUID | None = None,
    only_usable: bool = False,
) -> Slice[ProvisioningKey]:
    """Return the tenant's keys, newest first, `first` at a time.

    `only_usable` leaves out those that are revoked, expired or used up.
    """
    wanted = KeyFilter(fleet_uuid, ctx.clock.now() if only_usable else None)
    with database_errors():
        return await page_of_keys(ctx.tenant_id, wanted, page_size(first), after)


@allow(Permission.PROVISIONING_MANAGE)
async def revoke_provisioning_key(
    ctx: Context, key_id: UUID, *, reason: str = ""
) -> ProvisioningKey:
    """Have a key let nobody in any more; agents that came with it stay. Repeats change nothing."""
    if len(reason) > REASON_CHARS_MAX or "\x00" in reason:
        raise InvalidInput(
            "reason", f"must have at most {REASON_CHARS_MAX} characters", limit=REASON_CHARS_MAX
        )
    async with unit_of_work(ctx) as work:
        return await _revoke(ctx, work, key_id, reason)


async def _revoke(ctx: Context, work: Work, key_id: UUID, reason: str) -> ProvisioningKey:
    row = await lock_key(ctx.tenant_id, key_id)
    if row.is_active:
        row.is_active = False
        row.revoked_at = ctx.clock.now()
        row.revoked_by = ctx.caller.user_id
        row.revoke_reason = reason
        await row.save(update_fields=["is_active", "revoked_at", "revoked_by", "revoke_reason"])
        work.record(key_revoked(row))
    return row


async def _existing_key(ctx: Context, key_hash: bytes) -> ProvisioningKey:
    with database_errors():
        row = await find_provisioning_key(key_hash)
    if row is None or row.tenant_id != ctx.tenant_id:
        raise Conflict("This provisioning key exists already")
    return row


def _between(number: int, field: str, most: int) -> None:
    if not 1 <= number <= most:
        raise InvalidInput(field, f"must be between 1 and {most}", limit=most)
