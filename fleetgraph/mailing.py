"""Mail by SMTP, or into a folder where there is no mail server."""

from __future__ import annotations

import asyncio
import logging
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Final

import aiosmtplib

from core.clock import Clock
from core.errors import Unavailable
from core.gateways import Mailer, MailRefused
from core.mail import Mail
from fleetgraph.embedded.places import write_private
from fleetgraph.setting_sections import MailSettings

SECONDS_MAX: Final = 20.0
_REASON_CHARS_MAX: Final = 300

_log = logging.getLogger(__name__)


def make_mailer(settings: MailSettings, clock: Clock, data_dir: Path) -> Mailer:
    """Return what sends mail as the settings say."""
    if settings.host:
        return SmtpMailer(settings, clock)
    return Outbox(data_dir / "outbox", settings.sender, clock)


class SmtpMailer:
    """Sends by the SMTP server of the settings, over a connection per message."""

    def __init__(
        self, settings: MailSettings, clock: Clock, *, seconds_max: float = SECONDS_MAX
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._seconds_max = seconds_max

    async def send(self, mail: Mail) -> None:
        """Send one message; raises Unavailable and MailRefused."""
        settings = self._settings
        message = message_of(mail, settings.sender, self._clock)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            timeout=self._seconds_max,
        )
        try:
            # Beside the time-out of each step: a server may answer slowly for ever.
            async with asyncio.timeout(3 * self._seconds_max), client:
                if settings.user:
                    secret = settings.password.get_secret_value() if settings.password else ""
                    await client.login(settings.user, secret)
                await _hand_over(client, message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            raise Unavailable("the mail server", reason=_told(error)) from error


async def _hand_over(client: aiosmtplib.SMTP, message: EmailMessage) -> None:
    try:
        await client.send_message(message)
    except (
        aiosmtplib.SMTPRecipientsRefused,
        aiosmtplib.SMTPDataError,
        aiosmtplib.SMTPNotSupported,  # an address in letters that the server cannot carry
    ) as error:
        raise MailRefused(_told(error)) from error


class Outbox:
    """Writes each message as a file that mail programs open."""

    def __init__(self, folder: Path, sender: str, clock: Clock) -> None:
        self._folder = folder
        self._sender = sender
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        """Write one message and log where; raises Unavailable when the folder cannot be used."""
        content = message_of(mail, self._sender, self._clock).as_bytes().decode("utf-8")
        path = self._folder / f"{self._clock.now():%Y%m%dT%H%M%SZ}-{mail.id}.eml"
        try:
            await asyncio.to_thread(self._write, path, content)
        except OSError as error:
            raise Unavailable("the outbox folder", reason=_told(error)) from error
        _log.info("no mail server is set; the mail is in %s", path)

    def _write(self, path: Path, content: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, content)


def message_of(mail: Mail, sender: str, clock: Clock) -> EmailMessage:
    """Return the message as it travels; raises MailRefused for an address that is none."""
    name, address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(name, addr_spec=address)
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = mail.subject
    except Exception as error:  # the parser of addresses fails in many ways
        raise MailRefused(_told(error)) from error
    message["Date"] = format_datetime(clock.now())
    # The same when it is sent again, so that mail programs show it once.
    message["Message-ID"] = f"<{mail.id}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]
