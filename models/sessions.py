"""Sessions of people, and the refresh tokens of each: a family that ends as one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields

from core.events import ACCESS, AccessChanged
from core.paging import Slice
from models.connection import fetch
from models.pages import DatedModel, newest_first
from models.unit_of_work import Work


class Session(DatedModel):
    """One login, from one client. It ends by itself at `expires_at`, however often it is used."""

    noun = "session"

    user_id = fields.UUIDField(default=None)
    last_used_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    end_reason = fields.CharField(max_length=50, null=True)
    remote_address = fields.CharField(max_length=64)
    user_agent = fields.CharField(max_length=300)

    class Meta:
        table = "session"


async def end_sessions(
    work: Work,
    tenant_id: int,
    user_id: UUID,
    now: datetime,
    *,
    reason: str,
    only: UUID | None = None,
    keep: UUID | None = None,
) -> list[UUID]:
    """End a person's open sessions and what is open for them everywhere; returns their ids.

    `only` ends that one, `keep` spares that one. Part of the running unit of work.
    """
    rows = await fetch(
        "update session set ended_at = $3, end_reason = $4"
        " where tenant_id = $1 and user_id = $2 and ended_at is null"
        " and ($5::uuid is null or id = $5) and ($6::uuid is null or id <> $6) returning id",
        tenant_id,
        user_id,
        now,
        reason,
        only,
        keep,
    )
    ended = [row["id"] for row in rows]
    for session_id in ended:
        work.emit(ACCESS, AccessChanged(tenant_id, session_id=session_id))
    return ended


async def page_of_sessions(
    tenant_id: int, user_id: UUID, now: datetime, first: int, after: str | None
) -> Slice[Session]:
    """Return one page of a person's open sessions, newest first.

    Raises InvalidInput for a bad cursor.
    """
    query = Session.of(tenant_id, user_id=user_id, ended_at__isnull=True, expires_at__gt=now)
    return await newest_first(query, first, after)


async def note_session_use(tenant_id: int, session_id: UUID, now: datetime) -> None:
    """Write when a session was last used."""
    await fetch(
        "update session set last_used_at = $3 where tenant_id = $1 and id = $2",
        tenant_id,
        session_id,
        now,
    )


async def purge_sessions(before: datetime, limit: int) -> int:
    """Delete sessions of all tenants, at most `limit`, whose time was up before then.

    Their refresh tokens go with them. Returns how many there were.
    """
    rows = await fetch(
        "delete from session where id in"
        " (select id from session where expires_at < $1 limit $2 for update skip locked)"
        " returning tenant_id",
        before,
        limit,
    )
    return len(rows)
