"""Keys of calls that must run once, and the answers to them, sealed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.connection import fetch, rows_connection


@dataclass(frozen=True, slots=True)
class KeyName:
    """Whose key it is and for which endpoint; the key itself is kept as a digest."""

    tenant_id: int
    caller: str
    endpoint: str
    key_hash: bytes

    @property
    def columns(self) -> tuple[int, str, str, bytes]:
        """The primary key."""
        return self.tenant_id, self.caller, self.endpoint, self.key_hash


@dataclass(frozen=True, slots=True)
class TakenKey:
    """A key in use: a digest of its request, and the sealed answer once the work is done."""

    request: bytes
    answer: bytes | None
    begun_at: datetime


async def take_key(name: KeyName, request: bytes, now: datetime, expires_at: datetime) -> bool:
    """Take a key; False when it is taken. Keys of the tenant that have expired go."""
    async with rows_connection() as connection:
        await connection.execute(
            "delete from kept_answer where tenant_id = $1 and expires_at <= $2",
            name.tenant_id,
            now,
        )
        taken = await connection.fetchval(
            "insert into kept_answer"
            " (tenant_id, caller, endpoint, key_hash, request, begun_at, expires_at)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning true",
            *name.columns,
            request,
            now,
            expires_at,
        )
    return taken is not None


async def find_key(name: KeyName) -> TakenKey | None:
    """Return what is known of a key."""
    rows = await fetch(
        "select request, answer, begun_at from kept_answer"
        " where tenant_id = $1 and caller = $2 and endpoint = $3 and key_hash = $4",
        *name.columns,
    )
    return TakenKey(**rows[0]) if rows else None


async def keep_answer(name: KeyName, answer: bytes) -> None:
    """Keep the sealed answer to the work of a key."""
    await fetch(
        "update kept_answer set answer = $5"
        " where tenant_id = $1 and caller = $2 and endpoint = $3 and key_hash = $4",
        *name.columns,
        answer,
    )


async def drop_key(name: KeyName) -> None:
    """Forget a key whose work did nothing; one with an answer stays."""
    await fetch(
        "delete from kept_answer where tenant_id = $1 and caller = $2 and endpoint = $3"
        " and key_hash = $4 and answer is null",
        *name.columns,
    )
