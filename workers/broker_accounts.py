"""Keeps the broker's accounts equal to the database's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Final

from core.broker_accounts import BrokerAccount
from core.broker_canary import CANARY_USER
from core.broker_drift import Drift
from core.context import Context
from core.errors import Unavailable
from core.events import ACCESS, BROKER_ACCOUNTS, AccessChanged
from core.gateways import BrokerDriver
from resolvers.broker_drift import Agreement, agree_with_broker, note_broker_obedience
from workers.mqtt import BrokerEndpoint, drop_session

PERIOD_SECONDS = 30.0
RETRY_SECONDS = 2.0
LOOK_SECONDS = 1.0
APART_SECONDS = 0.3
"""Changes that come closer together than this go to the broker at once."""

OBEY_SECONDS = 10.0
"""What a broker may take to go by a new copy."""

_UNRECORDED_MAX: Final = 1_000

_log = logging.getLogger(__name__)


class BrokerAccounts:
    """A reconciler: when poked, regularly, and when somebody else touched the broker's copy.

    While the database is away, a copy that was touched gets back what it had.
    """

    name = "broker accounts"

    def __init__(
        self,
        ctx: Context,
        driver: BrokerDriver,
        platform: Sequence[BrokerAccount],
        endpoint: BrokerEndpoint | None = None,
    ) -> None:
        """Where there is an `endpoint`, look there whether the broker goes by its copy."""
        self._ctx = ctx
        self._driver = driver
        self._platform = platform
        self._last: Agreement | None = None
        self._unrecorded: list[Drift] = []
        self._poked = asyncio.Event()
        self._obedience = _Obedience(endpoint) if endpoint else None
        self._is_away = False

    async def run(self) -> None:
        """Reconcile until cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            bus = self._ctx.bus
            changes = await stack.enter_async_context(bus.subscribe(BROKER_ACCOUNTS))
            group.create_task(self._poke_with(changes))
            access = await stack.enter_async_context(bus.subscribe(ACCESS))
            group.create_task(self._poke_with(access))
            while True:
                self._poked.clear()
                await self._attempt()
                await asyncio.sleep(APART_SECONDS)
                await self._until_needed()

    async def step(self) -> None:
        """Make the broker agree with the database once."""
        found, self._unrecorded = self._unrecorded, []
        try:
            agreed = await agree_with_broker(
                self._ctx, self._driver, self._platform, self._last, found
            )
        except BaseException:
            self._unrecorded = found
            raise
        if self._obedience and agreed and (self._last is None or agreed.mark != self._last.mark):
            self._obedience.expect(agreed.canary.password)
        self._last = agreed

    async def _attempt(self) -> None:
        try:
            await self.step()
            self._is_away = False
        except Unavailable as error:
            if not self._is_away:
                _log.warning("the broker's accounts wait for %s", error)
            self._is_away = True
            await self._heal()

    async def _heal(self) -> None:
        """Give the broker what it had, without the database."""
        if self._last is None or not self._driver.was_touched():
            return
        found = await self._driver.inspect(self._last.accounts, self._last.mark)
        await self._driver.apply(self._last.accounts)
        self._unrecorded = [*self._unrecorded, *found][:_UNRECORDED_MAX]

    async def _until_needed(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + (RETRY_SECONDS if self._is_away else PERIOD_SECONDS)
        while loop.time() < end and not self._driver.was_touched():
            await self._check_obedience()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, max(0.0, end - loop.time()))):
                    await self._poked.wait()
                    return
        if self._obedience:
            self._obedience.doubt()

    async def _check_obedience(self) -> None:
        place = self._driver.place
        if self._obedience is None or place is None or self._poked.is_set():
            return
        obeys = await self._obedience.check()
        if obeys is not None:
            with suppress(Unavailable):
                await note_broker_obedience(self._ctx, place, obeys=obeys)

    async def _poke_with(self, events: AsyncIterator[object]) -> None:
        async for event in events:
            if not isinstance(event, AccessChanged) or event.agent_id is not None:
                self._poked.set()


class _Obedience:
    """Logs in with the canary of the newest copy, until the broker takes it."""

    def __init__(self, endpoint: BrokerEndpoint) -> None:
        self._endpoint = endpoint
        self._since = 0.0
        self._password = ""
        self._is_open = False

    def expect(self, password: str) -> None:
        """Ask for this password from now on."""
        self._password = password
        self._since = asyncio.get_running_loop().time()
        self._is_open = True

    def doubt(self) -> None:
        """Ask again, if the broker has obeyed."""
        if not self._is_open and self._password:
            self.expect(self._password)

    async def check(self) -> bool | None:
        """Say whether the broker goes by its copy; None when that is known, or not known yet."""
        if not self._is_open:
            return None
        try:
            await drop_session(
                replace(self._endpoint, username=CANARY_USER, password=self._password),
                f"{self._endpoint.client_id}-canary",
            )
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError) and error.errno is None
            late = asyncio.get_running_loop().time() - self._since > OBEY_SECONDS
            return False if refused and late else None
        except TimeoutError:
            return None
        self._is_open = False
        return True
