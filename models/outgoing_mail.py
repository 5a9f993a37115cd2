"""Mail that waits to be sent: written with what it tells of, in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from core.context import Context
from core.mail import Mail
from core.sealing import seal, unseal
from models.connection import fetch


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A message that is being sent; `mail` is None when the master secret is another by now."""

    tenant_id: int
    id: UUID
    mail: Mail | None
    created_at: datetime
    attempts: int


async def put_mail(ctx: Context, tenant_id: int, mail: Mail, *, really: bool = True) -> None:
    """Keep a message until it is sent; sealed, since it may carry a secret.

    Without `really` nothing is kept, at the same cost.
    """
    content = orjson.dumps([mail.to, mail.subject, mail.text, mail.html])
    await fetch(
        "insert into outgoing_mail (tenant_id, id, sealed, created_at, due_at)"
        " select $1::int, $2::uuid, $3::bytea, $4::timestamptz, $4::timestamptz where $5::boolean",
        tenant_id,
        mail.id,
        seal(_key(ctx, mail.id), content),
        ctx.clock.now(),
        really,
    )


async def claim_mail(ctx: Context, until: datetime) -> OutgoingMail | None:
    """Return the message that is due longest and keep it from other senders until then."""
    rows = await fetch(
        "update outgoing_mail set due_at = $2, attempts = attempts + 1 where id ="
        " (select id from outgoing_mail where due_at <= $1 order by due_at limit 1"
        " for update skip locked) returning tenant_id, id, sealed, created_at, attempts",
        ctx.clock.now(),
        until,
    )
    if not rows:
        return None
    row = rows[0]
    content = unseal(_key(ctx, row["id"]), row["sealed"])
    mail = None if content is None else Mail(row["id"], *orjson.loads(content))
    return OutgoingMail(row["tenant_id"], row["id"], mail, row["created_at"], row["attempts"])


async def forget_mail(tenant_id: int, mail_id: UUID) -> None:
    """Delete a message that was sent, or never will be."""
    await fetch("delete from outgoing_mail where tenant_id = $1 and id = $2", tenant_id, mail_id)


async def postpone_mail(tenant_id: int, mail_id: UUID, until: datetime, error: str) -> None:
    """Let a message that could not be sent wait, and note why."""
    await fetch(
        "update outgoing_mail set due_at = $3, last_error = $4 where tenant_id = $1 and id = $2",
        tenant_id,
        mail_id,
        until,
        error[:500],
    )


def _key(ctx: Context, mail_id: UUID) -> str:
    return ctx.secrets.derive("mail", mail_id)
