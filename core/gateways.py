"""What the system asks of things outside it; each implementation has a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.broker_accounts import BrokerAccount
from core.mail import Mail


class BrokerDriver(Protocol):
    """Makes a broker's accounts equal to ours."""

    async def apply(self, accounts: Sequence[BrokerAccount]) -> None:
        """Make exactly these accounts usable; users that are gone are cut off."""
        ...


class NoBrokerDriver:
    """For a broker whose accounts somebody else looks after."""

    async def apply(self, accounts: Sequence[BrokerAccount]) -> None:
        """Leave the broker alone."""


class MailRefused(Exception):
    """The mail server takes no such message; it may well take others."""


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Send one message.

        Raises Unavailable, with the fact `reason`, when the server is away, so that no other
        message can be sent now either, and MailRefused when it refuses this one.
        """
        ...
