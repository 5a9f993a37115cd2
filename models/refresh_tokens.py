"""Refresh tokens: of each only a digest, and of each that was rotated its sealed successor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.ids import secret_hash
from models.connection import fetch

_PURPOSE: Final = "refresh-token"


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A refresh token that somebody presented, with its family: the session it belongs to.

    Attributes:
        used_at: when it was rotated; None for the newest of its family.
        successor: the token that replaced it, sealed under the token itself.
        successor_used: whether that one has been rotated, too.
    """

    tenant_id: int
    user_id: UUID
    session_id: UUID
    session_expires_at: datetime
    session_ended_at: datetime | None
    used_at: datetime | None
    successor: bytes | None


def digest_of(token: str) -> bytes:
    """Return the digest under which a refresh token is kept."""
    return secret_hash(_PURPOSE, token)


async def store_refresh_token(
    tenant_id: int, session_id: UUID, token: str, issued_at: datetime
) -> None:
    """Keep a new token of the family."""
    await fetch(
        "insert into refresh_token (tenant_id, session_id, token_hash, issued_at)"
        " values ($1, $2, $3, $4)",
        tenant_id,
        session_id,
        digest_of(token),
        issued_at,
    )
