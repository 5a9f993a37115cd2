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
from models.provisioning import ProvisioningKey, find_provisioning_key, page_of_keys
from models.unit_of_work import database_errors, unit_of_work
from resolvers.provisioning_record import key_made

PROVISIONING_KEY_PURPOSE: Final = "provisioning-key"
AGENTS_MAX: Final = 10_000
EXPIRES_DAYS_MAX: Final = 3_650
DESCRIPTION_CHARS_MAX: Final = 500
KEY_CHARS_MAX: Final = 200


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
    key: str | None = None,
) -> NewProvisioningKey:
    """Make a key for `agents_max` agents, one unless told otherwise; its text is shown only here.

    Only the system may bring its own text; bringing the same again returns the first row.
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
    except IntegrityError:
        row = await _existing_key(ctx, key_hash)
    return NewProvisioningKey(row, text)


@allow(Permission.PROVISIONING_READ)
async def list_provisioning_keys(
    ctx: Context, first: int = PAGE_SIZE_MAX, after: str | None = None
) -> Slice[ProvisioningKey]:
    """Return the tenant's keys, newest first, `first` at a time."""
    with database_errors():
        return await page_of_keys(ctx.tenant_id, page_size(first), after)


async def _existing_key(ctx: Context, key_hash: bytes) -> ProvisioningKey:
    with database_errors():
        row = await find_provisioning_key(key_hash)
    if row is None or row.tenant_id != ctx.tenant_id:
        raise Conflict("This provisioning key exists already")
    return row


def _between(number: int, field: str, most: int) -> None:
    if not 1 <= number <= most:
        raise InvalidInput(field, f"must be between 1 and {most}", limit=most)
