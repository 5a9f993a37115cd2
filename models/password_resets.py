"""Permissions to choose a new password: one per person, each good once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.ids import secret_hash
from models.connection import fetch

_PURPOSE: Final = "password-reset"
_PAUSE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """Whose password may be chosen anew."""

    tenant_id: int
    user_id: UUID


async def put_password_reset(
    tenant_id: int, user_id: UUID | None, token: str, now: datetime, expires_at: datetime
) -> bool:
    """Keep a token's digest for the person; older ones of theirs are void.

    Without a person, or within a minute of the last time, nothing changes, at the same cost; False
    then.
    """
    rows = await fetch(
        "with recent as (select from password_reset"
        " where tenant_id = $1 and user_id = $2 and created_at > $6),"
        " void as (delete from password_reset"
        " where tenant_id = $1 and user_id = $2 and not exists (select from recent))"
        " insert into password_reset (tenant_id, user_id, token_hash, created_at, expires_at)"
        " select $1::int, $2::uuid, $3::bytea, $4::timestamptz, $5::timestamptz"
        " where $2::uuid is not null and not exists (select from recent) returning user_id",
        tenant_id,
        user_id,
        secret_hash(_PURPOSE, token),
        now,
        expires_at,
        now - _PAUSE,
    )
    return bool(rows)


async def find_password_reset(token: str, now: datetime) -> PasswordReset | None:
    """Return whom an open token is for; the token itself names the tenant."""
    rows = await fetch(
        "select tenant_id, user_id from password_reset where token_hash = $1 and expires_at > $2",
        secret_hash(_PURPOSE, token),
        now,
    )
    return PasswordReset(**rows[0]) if rows else None


async def take_password_reset(token: str, now: datetime) -> bool:
    """Use an open token up, for one of all who try; False for the others."""
    rows = await fetch(
        "delete from password_reset where token_hash = $1 and expires_at > $2 returning user_id",
        secret_hash(_PURPOSE, token),
        now,
    )
    return bool(rows)


async def void_password_resets(tenant_id: int, user_id: UUID) -> None:
    """Let no token of the person hold any more."""
    await fetch(
        "delete from password_reset where tenant_id = $1 and user_id = $2", tenant_id, user_id
    )
