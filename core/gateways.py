"""What the system asks of things outside it; each implementation has a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.broker_accounts import BrokerAccount
from core.broker_drift import Drift
from core.mail import Mail


class BrokerDriver(Protocol):
    """Makes a broker's accounts equal to ours, and tells when somebody else changed them.

    Ours write the files of a Mosquitto. A driver for its dynamic-security plugin would send
    `createRole` and `createClient` for what is missing and `deleteClient` for what is too much,
    compare with `listClients`, and return a digest of that list as the mark. It would need a role
    per account (the plugin of 2.0 knows no `%u`), its own entry for `$share`, and patience: every
    command rewrites the whole list, 30 ms at 3,000 accounts, during which the broker stands still,
    and a change of an account disconnects it. That is why it is not there by default.
    """

    @property
    def place(self) -> str | None:
        """Which copy of the accounts this is, e.g. its folder; None when there is none."""
        ...

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return how the broker's copy differs from what we gave it last.

        `mark` is what `apply` returned for that, perhaps in an earlier program, and `accounts`
        what it was, as far as known. None: we never gave it anything, so nothing has drifted.
        """
        ...

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        """Make exactly these accounts usable; users that are gone are cut off.

        Nothing happens when they are the same. Returns a mark of the copy, equal for equal
        accounts.
        """
        ...

    def was_touched(self) -> bool:
        """Say, at the cost of a glance, whether the copy may have been changed since `apply`."""
        ...


class NoBrokerDriver:
    """For a broker that asks us about each login by HTTP, or whose accounts are not ours."""

    place = None

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        """Return nothing: there is no copy."""
        return []

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        """Leave the broker alone."""
        return ""

    def was_touched(self) -> bool:
        """Say no."""
        return False


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
