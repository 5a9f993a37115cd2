"""Mail on its way out: what a sender takes, and what becomes of it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from core.access import Permission, allow
from core.context import Context
from models.outgoing_mail import OutgoingMail, claim_mail, forget_mail, postpone_mail
from models.unit_of_work import database_errors

SENDING: Final = timedelta(minutes=5)
RETRY_FIRST: Final = timedelta(seconds=30)
RETRY_MAX: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=1)

_log = logging.getLogger(__name__)


@allow(Permission.SYSTEM)
async def take_mail(ctx: Context) -> OutgoingMail | None:
    """Return the message that has waited longest; nobody else gets it while it is being sent."""
    with database_errors():
        return await claim_mail(ctx, ctx.clock.now() + SENDING)


@allow(Permission.SYSTEM)
async def mail_was_sent(ctx: Context, taken: OutgoingMail) -> None:
    """Forget a message that has left."""
    with database_errors():
        await forget_mail(taken.tenant_id, taken.id)


@allow(Permission.SYSTEM)
async def mail_was_not_sent(ctx: Context, taken: OutgoingMail, reason: str) -> None:
    """Let a message wait, twice as long each time; after a day it is given up."""
    now = ctx.clock.now()
    with database_errors():
        if taken.mail is None or now - taken.created_at >= GIVEN_UP_AFTER:
            _log.error("mail %s was given up: %s", taken.id, reason)
            await forget_mail(taken.tenant_id, taken.id)
            return
        wait = min(RETRY_FIRST * 2 ** min(taken.attempts - 1, 10), RETRY_MAX)
        await postpone_mail(taken.tenant_id, taken.id, now + wait, reason)
