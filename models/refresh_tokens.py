"""Refresh tokens: of each only a digest, and of a rotated one its successor, sealed under it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.ids import secret_hash
from core.sealing import seal, unseal
from models.connection import fetch

_PURPOSE: Final = "refresh-token"

_FIND: Final = (
    "select t.tenant_id, s.user_id, t.session_id, t.used_at, t.successor as sealed_successor,"
    " s.ended_at is null and u.is_active as is_open, s.expires_at as session_expires_at"
    " from refresh_token t"
    " join session s on s.tenant_id = t.tenant_id and s.id = t.session_id"
    " join user_account u on u.tenant_id = s.tenant_id and u.id = s.user_id"
    " where t.token_hash = $1"
)
_LOCKED: Final = " for no key update of t"


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that somebody showed, and its family: the session that it belongs to.

    Attributes:
        used_at: when it was rotated; None for the newest of its family.
        sealed_successor: the token that replaced it, as only who has this one can read it.
        is_open: whether the session has not been ended and its person is active.
        session_expires_at: when the session ends by itself.
    """

    token: str
    tenant_id: int
    user_id: UUID
    session_id: UUID
    used_at: datetime | None
    sealed_successor: bytes | None
    is_open: bool
    session_expires_at: datetime


async def find_refresh_token(token: str, *, locked: bool = False) -> Presented | None:
    """Return what is known of a refresh token; the token itself names the tenant.

    `locked` holds it for the rest of the transaction, so that it is rotated once.
    """
    rows = await fetch(_FIND + _LOCKED if locked else _FIND, _digest(token))
    return Presented(token, **rows[0]) if rows else None


async def store_refresh_token(
    tenant_id: int, session_id: UUID, token: str, issued_at: datetime
) -> None:
    """Keep a new token of the family."""
    await fetch(
        "insert into refresh_token (tenant_id, session_id, token_hash, issued_at)"
        " values ($1, $2, $3, $4)",
        tenant_id,
        session_id,
        _digest(token),
        issued_at,
    )


async def rotate_refresh_token(presented: Presented, successor: str, now: datetime) -> None:
    """Replace the token by `successor`."""
    await fetch(
        "update refresh_token set used_at = $3, successor = $4"
        " where tenant_id = $1 and token_hash = $2",
        presented.tenant_id,
        _digest(presented.token),
        now,
        seal(presented.token, successor.encode()),
    )
    await store_refresh_token(presented.tenant_id, presented.session_id, successor, now)


async def unused_successor(presented: Presented) -> str | None:
    """Return the token that replaced this one, unless that has been replaced as well."""
    if presented.sealed_successor is None:
        return None
    opened = unseal(presented.token, presented.sealed_successor)
    if opened is None:
        return None
    successor = opened.decode()
    rows = await fetch(
        "select 1 from refresh_token where tenant_id = $1 and token_hash = $2 and used_at is null",
        presented.tenant_id,
        _digest(successor),
    )
    return successor if rows else None


def _digest(token: str) -> bytes:
    return secret_hash(_PURPOSE, token)
