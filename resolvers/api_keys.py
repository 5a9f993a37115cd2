"""API keys: what programs of people come with. A key never does more than its person may now."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import SCOPES, Permission, allow, holds
from core.accounts import check_text
from core.audit import AuditEntry, AuditType
from core.callers import Caller
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable
from core.events import ACCESS, AccessChanged
from core.ids import secret_hash
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.rate_limits import RateScope
from models.api_keys import (
    ApiKey,
    ApiKeyHolder,
    find_api_key_holder,
    note_use,
    page_of_api_keys,
    revoke_family,
    taken_key_names,
)
from models.unit_of_work import database_errors, unit_of_work
from resolvers.memories import Memory

API_KEY_MARK: Final = "fg_"
"""What every API key starts with, so that people and scanners know one when they see it."""

NAME_CHARS_MAX: Final = 100
DESCRIPTION_CHARS_MAX: Final = 500
EXPIRES_DAYS_MAX: Final = 3650
USE_NOTED_SECONDS: Final = 60
_PURPOSE: Final = "api-key"
_SHOWN_CHARS: Final = 11
_SHAPE: Final = re.compile(rf"{API_KEY_MARK}[A-Za-z0-9_-]{{20,100}}")

_noted: Memory[UUID, None] = Memory(entries_max=10_000)


@allow(Permission.API_KEY_CREATE, limit=RateScope.ADMIN)
async def create_api_key(
    ctx: Context,
    name: str,
    *,
    description: str = "",
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
    expires_in_days: int | None = None,
) -> ApiKey:
    """Make a key for the caller's programs; only the returned row has its `text`.

    `scopes` are names of permissions that the caller has; all of the caller's that only read,
    unless given. Without an end the key holds until it is revoked; one made with a key ends with
    that key at the latest. Raises Conflict for a name that another key has.
    """
    name, description = check_text("name", name, NAME_CHARS_MAX), description.strip()
    if not name:
        raise InvalidInput("name", "is required")
    if len(description) > DESCRIPTION_CHARS_MAX or "\x00" in description:
        raise InvalidInput("description", f"must have at most {DESCRIPTION_CHARS_MAX} characters")
    now = ctx.clock.now()
    text = f"{API_KEY_MARK}{ctx.ids.secret(32)}"
    row = ApiKey(
        id=ctx.ids.uuid(),
        tenant_id=ctx.tenant_id,
        user_id=ctx.caller.user_id,
        parent_id=ctx.caller.api_key_id,
        name=name,
        description=description,
        key_hash=secret_hash(_PURPOSE, text),
        key_prefix=text[:_SHOWN_CHARS],
        scopes=_granted(ctx.caller, scopes),
        created_at=now,
        expires_at=_end(ctx.caller, now, expires_at, expires_in_days),
    )
    row.text = text
    async with unit_of_work(ctx) as work:
        with taken_key_names():
            await row.save(force_create=True)
        told = {"name": name, "scopes": row.scopes, "expires_at": row.expires_at}
        work.record(AuditEntry(AuditType.API_KEY_CREATED, f"api_key:{row.id}", after=told))
    return row


@allow(Permission.API_KEY_READ, limit=RateScope.ADMIN)
async def list_api_keys(
    ctx: Context,
    is_active: bool | None = None,
    first: int = PAGE_SIZE_MAX,
    after: str | None = None,
) -> Slice[ApiKey]:
    """Return the tenant's keys, newest first, `first` at a time.

    `is_active` wants those that hold, or those that are revoked or expired.
    """
    with database_errors():
        return await page_of_api_keys(
            ctx.tenant_id, ctx.clock.now(), is_active, page_size(first), after
        )


@allow(Permission.API_KEY_REVOKE, limit=RateScope.ADMIN)
async def revoke_api_key(ctx: Context, key_id: UUID) -> ApiKey:
    """End a key, whoever it belongs to, the keys made with it, and what is open for them.

    Repeats change nothing.
    """
    async with unit_of_work(ctx) as work:
        row = await ApiKey.of(ctx.tenant_id, id=key_id).select_for_update().first()
        if row is None:
            raise NotFound(ApiKey.noun, key_id)
        now = ctx.clock.now()
        for gone in await revoke_family(ctx.tenant_id, row.id, now):
            work.emit(ACCESS, AccessChanged(ctx.tenant_id, api_key_id=gone))
            before = {"name": row.name, "user_id": row.user_id} if gone == row.id else None
            details = {} if gone == row.id else {"made_with": str(row.id)}
            work.record(
                AuditEntry(
                    AuditType.API_KEY_REVOKED, f"api_key:{gone}", before=before, details=details
                )
            )
        row.revoked_at = row.revoked_at or now
    return row


@allow(Permission.PUBLIC)
async def caller_from_api_key(ctx: Context, key: str) -> Caller:
    """Return the person behind a key, narrowed to its scopes, with the role of this moment.

    Raises Unauthenticated for a key that is unknown, revoked or expired, or whose person is gone;
    Forbidden for a deactivated account.
    """
    now = ctx.clock.now()
    holder = None
    if _SHAPE.fullmatch(key):
        with database_errors():
            holder = await find_api_key_holder(secret_hash(_PURPOSE, key), now)
    if holder is None:
        raise Unauthenticated("The API key is not valid")
    if not holder.is_active:
        raise Forbidden("This account is deactivated")
    await _note_use(holder, now)
    return Caller(
        holder.role,
        holder.tenant_id,
        user_id=holder.user_id,
        api_key_id=holder.id,
        scopes=frozenset(SCOPES).intersection(holder.scopes),
        expires_at=holder.expires_at,
    )


async def _note_use(holder: ApiKeyHolder, now: datetime) -> None:
    if _noted.get(holder.id, now) is None:
        _noted.put(holder.id, None, now, seconds=USE_NOTED_SECONDS)
        with suppress(Unavailable), database_errors():  # it is known whose key it is
            await note_use(holder.tenant_id, holder.id, now)


def _granted(caller: Caller, wanted: Collection[str] | None) -> list[str]:
    """Return the scopes of a new key, in the order of SCOPES."""
    held = [scope for scope in SCOPES if holds(caller, scope)]
    if wanted is None:
        return [scope.value for scope in held if scope.endswith(":read")]
    if not wanted:
        raise InvalidInput("scopes", "must name at least one permission")
    for name in wanted:
        if name not in SCOPES:
            raise InvalidInput("scopes", f"{name[:50]!r} is no scope", scopes=[*SCOPES])
        if name not in held:
            raise Forbidden(f"You cannot give {name}, which you do not have", permission=name)
    return [scope.value for scope in held if scope in wanted]


def _end(
    caller: Caller, now: datetime, expires_at: datetime | None, in_days: int | None
) -> datetime | None:
    """Return when a new key ends, if it does."""
    latest = now + timedelta(days=EXPIRES_DAYS_MAX)
    if in_days is not None:
        if expires_at is not None:
            raise InvalidInput("expiresInDays", "cannot be given along with an end")
        if not 1 <= in_days <= EXPIRES_DAYS_MAX:
            raise InvalidInput("expiresInDays", f"must be between 1 and {EXPIRES_DAYS_MAX}")
        expires_at = now + timedelta(days=in_days)
    if expires_at is not None and not now < expires_at <= latest:
        raise InvalidInput("expiresAt", f"must be within {EXPIRES_DAYS_MAX} days from now")
    ends = [end for end in (expires_at, caller.expires_at if caller.api_key_id else None) if end]
    return min(ends, default=None)
