"""Sessions of people, and the refresh tokens of each: a family that ends as one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise import fields

from core.events import ACCESS, AccessChanged
from models.base import TenantModel
from models.connection import fetch
from models.unit_of_work import Work


class Session(TenantModel):
    """One login, from one client. It ends by itself at `expires_at`, however often it is used."""

    noun = "session"

    id = fields.UUIDField(primary_key=True, default=None)
    user_id = fields.UUIDField(default=None)
    created_at = fields.DatetimeField()
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
