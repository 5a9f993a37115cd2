"""What a broker's plugin asks: who may log in, and what they may publish and read.

Accounts are remembered for a while, as a broker asks about every message. What is remembered goes
when accounts or access change; should such an event be lost, it is read again within 33 s.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

from core.access import Permission, allow
from core.broker_accounts import BrokerAccount, may, may_subscribe, verify_broker_password
from core.context import Context
from core.errors import Unavailable
from core.rate_limits import RateScope
from models.mqtt_accounts import find_active_account
from models.unit_of_work import database_errors
from resolvers.memories import Memory
from resolvers.mqtt_accounts import READ, WRITE, broker_account

SUBSCRIBE: Final = 4
KNOWN_SECONDS: Final = 30
UNKNOWN_SECONDS: Final = 5
STALE_SECONDS: Final = 300
"""How long an account may answer while the database is away: a live fleet must not be cut off."""

READ_SECONDS_MAX: Final = 2.0
AWAY_SECONDS: Final = 1.0
"""How long the database is not asked after it did not answer."""

ACCOUNTS_MAX: Final = 50_000
UNKNOWN_MAX: Final = 10_000
_PROVEN_SECONDS: Final = 86_400
_JITTER: Final = 0.1
_NAME_BYTES_MAX: Final = 1024
_TOPIC_BYTES_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class _Known:
    account: BrokerAccount
    read_at: datetime


class KnownAccounts:
    """Accounts that were read a moment ago, and names that were in vain. One per process.

    `platform` are the accounts under which we log in ourselves; the database has none of them.
    """

    def __init__(self, platform: Iterable[BrokerAccount] = ()) -> None:
        self._platform = {account.username: account for account in platform}
        self._known: dict[str, _Known] = {}
        self._unknown: Memory[str, None] = Memory(entries_max=UNKNOWN_MAX)
        self._proven: Memory[str, bytes] = Memory(entries_max=ACCOUNTS_MAX)
        self._proof_key = secrets.token_bytes(32)
        self._epoch = 0
        self._away_until: datetime | None = None

    def forget(self) -> None:
        """Read every account again before it answers; also those that are just being read."""
        self._epoch += 1
        self._known.clear()
        self._unknown = Memory(entries_max=UNKNOWN_MAX)

    async def find(self, ctx: Context, username: str) -> BrokerAccount | None:
        """Return an account that may log in now.

        While the database is away, as it was up to five minutes ago; otherwise that raises
        Unavailable: nobody is refused because nobody knows.
        """
        if username in self._platform:
            return self._platform[username]
        now = ctx.clock.now()
        known = self._known.get(username)
        if known is not None and now < known.read_at + _spread(username, KNOWN_SECONDS):
            return known.account
        if self._unknown.get(username, now) is not None:
            return None
        try:
            return await self._read(ctx, username, now)
        except Unavailable:
            known = self._known.get(username)  # unless it was forgotten meanwhile
            if known is None or now >= known.read_at + timedelta(seconds=STALE_SECONDS):
                raise
            return known.account

    async def _read(self, ctx: Context, username: str, now: datetime) -> BrokerAccount | None:
        if self._away_until is not None and now < self._away_until:
            raise Unavailable("database")
        epoch = self._epoch
        try:
            with database_errors():
                async with asyncio.timeout(READ_SECONDS_MAX):
                    row = await find_active_account(username)
        except Unavailable:
            self._away_until = now + timedelta(seconds=AWAY_SECONDS)
            raise
        account = None if row is None else broker_account(row)
        if epoch == self._epoch:
            self._remember(username, account, now)
        return account

    def _remember(self, username: str, account: BrokerAccount | None, now: datetime) -> None:
        if account is None:
            self._known.pop(username, None)
            seconds = _spread(username, UNKNOWN_SECONDS).total_seconds()
            self._unknown.put(username, None, now, seconds=seconds)
            return
        if len(self._known) >= ACCOUNTS_MAX and username not in self._known:
            self._known.clear()
        self._known[username] = _Known(account, now)

    def has_proven(self, account: BrokerAccount, password: str, now: datetime) -> bool:
        """Say whether this password has been right for the account as it is."""
        proven = self._proven.get(account.username, now)
        return proven is not None and secrets.compare_digest(
            proven[0], self._proof(account, password)
        )

    def note_proven(self, account: BrokerAccount, password: str, now: datetime) -> None:
        """Remember that the password was right."""
        proof = self._proof(account, password)
        self._proven.put(account.username, proof, now, seconds=_PROVEN_SECONDS)

    def _proof(self, account: BrokerAccount, password: str) -> bytes:
        text = f"{account.password_hash}\n{password}".encode()
        return hashlib.blake2b(text, key=self._proof_key).digest()


@allow(Permission.SYSTEM)
async def check_login(ctx: Context, known: KnownAccounts, username: str, password: str) -> bool:
    """Say whether name and password may log in.

    Attempts are counted by name, until one is right: that password is then let in whatever others
    try. Raises RateLimited, and Unavailable as `KnownAccounts.find`.
    """
    if not _is_name(username) or not _is_text(password):
        return False
    account = await known.find(ctx, username)
    now = ctx.clock.now()
    if account is not None and known.has_proven(account, password, now):
        return True
    await ctx.limits.hit(RateScope.AUTH, f"mqtt:{username}")  # unknown names answer alike
    if account is None or not await asyncio.to_thread(
        verify_broker_password, password, account.password_hash
    ):
        return False
    known.note_proven(account, password, now)
    return True


@allow(Permission.SYSTEM)
async def check_superuser(ctx: Context, known: KnownAccounts, username: str) -> bool:
    """Say whether this user may publish and read everything."""
    account = await known.find(ctx, username) if _is_name(username) else None
    return account is not None and account.is_platform


@allow(Permission.SYSTEM)
async def check_topic(
    ctx: Context, known: KnownAccounts, username: str, topic: str, access: int
) -> bool:
    """Say whether this user has all the rights in `access`: 1 to read, 2 to write, 4 to subscribe.

    To subscribe, everything that the filter can match must be readable.
    """
    if not _is_name(username) or not _is_text(topic) or len(topic.encode()) > _TOPIC_BYTES_MAX:
        return False
    if not READ <= access <= READ | WRITE | SUBSCRIBE:
        return False
    account = await known.find(ctx, username)
    if account is None:
        return False
    is_filter = "+" in topic or "#" in topic
    return (
        (not access & READ or _may_read(account, topic, is_filter=is_filter))
        and (not access & WRITE or may(account, topic, write=True))
        and (not access & SUBSCRIBE or may_subscribe(account, topic))
    )


def _may_read(account: BrokerAccount, topic: str, *, is_filter: bool) -> bool:
    return may_subscribe(account, topic) if is_filter else may(account, topic, write=False)


def _is_name(username: str) -> bool:
    return username.isprintable() and 1 <= len(username.encode()) <= _NAME_BYTES_MAX


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _spread(username: str, seconds: float) -> timedelta:
    """Return the time, a little different for each name, so that not all are read at once."""
    share = crc32(username.encode()) / 0xFFFFFFFF
    return timedelta(seconds=seconds * (1 - _JITTER + 2 * _JITTER * share))
