"""Sends the mail that waits, one after the other."""

from __future__ import annotations

import logging
from typing import Final

from core.context import Context
from core.errors import Unavailable
from core.gateways import Mailer, MailRefused
from resolvers.mail import mail_was_not_sent, mail_was_sent, take_mail

_log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 2.0
BATCH_MAX: Final = 100


class OutgoingMails:
    """A reconciler step: what is due is sent; what cannot be sent is tried again later."""

    def __init__(self, ctx: Context, mailer: Mailer) -> None:
        self._ctx = ctx
        self._mailer = mailer

    async def step(self) -> None:
        """Send what is due, at most a batch; ends early when the mail server is away."""
        for _ in range(BATCH_MAX):
            taken = await take_mail(self._ctx)
            if taken is None:
                return
            if taken.mail is None:
                await mail_was_not_sent(self._ctx, taken, "the master secret is another")
                continue
            try:
                await self._mailer.send(taken.mail)
            except MailRefused as refused:
                _log.warning("mail %s is refused: %s", taken.id, refused)
                await mail_was_not_sent(self._ctx, taken, str(refused))
            except Unavailable as away:
                reason = str(away.facts.get("reason", away.message))
                _log.warning("mail %s waits, the mail server is away: %s", taken.id, reason)
                await mail_was_not_sent(self._ctx, taken, reason)
                return
            else:
                await mail_was_sent(self._ctx, taken)
