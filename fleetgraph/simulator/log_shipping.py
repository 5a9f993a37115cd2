"""An agent's log on its way: notes by its own clock, batches by the pace, what was dropped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from fleetgraph.simulator.cloud import CallFailed, CloudClient
from fleetgraph.simulator.identity import Identity
from fleetgraph.simulator.logbook import Logbook
from fleetgraph.simulator.world import Pace


class LogShipping:
    """Writes the lines of one agent and ships them until told to stop."""

    def __init__(
        self, cloud: CloudClient, identity: Identity, pace: Pace, now_ms: Callable[[], int]
    ) -> None:
        self._cloud = cloud
        self._pace = pace
        self._now_ms = now_ms
        self._logbook = Logbook(
            identity.uuid,
            cloud.send_logs,
            resend_seconds=pace.log_resend,
            retry_seconds=pace.log_retry,
        )

    def note(self, level: str, component: str, message: str, **context: object) -> None:
        """Write a line."""
        self._logbook.note(self._now_ms(), level, component, message, **context)

    async def run(self, while_offline: Callable[[], Awaitable[None]]) -> None:
        """Ship for ever; `while_offline` returns when the agent may speak."""
        loop = asyncio.get_running_loop()
        flush_at = loop.time() + self._pace.logs
        while True:
            again = self._logbook.next_due
            soonest = min(flush_at, again if again is not None else flush_at)
            await asyncio.sleep(max(soonest - loop.time(), 0.05))
            await while_offline()
            is_flush = loop.time() >= flush_at
            await self.ship(close=is_flush)
            if is_flush:
                await self._tell_dropped()
                flush_at = loop.time() + self._pace.logs

    async def ship(self, *, close: bool) -> None:
        """Send what is due; with `close` what was written since, too."""
        now = asyncio.get_running_loop().time()
        if close:
            self._logbook.close_batches(now, self._now_ms())
        await self._logbook.ship(now)

    async def farewell(self, seconds: float) -> None:
        """Send all that can be sent in so many seconds."""
        with contextlib.suppress(TimeoutError, CallFailed):
            async with asyncio.timeout(seconds):
                await self.ship(close=True)

    async def _tell_dropped(self) -> None:
        summaries = self._logbook.take_dropped()
        if not summaries:
            return
        try:
            await self._cloud.tell_dropped(summaries, self._now_ms())
        except CallFailed:
            self._logbook.put_dropped_back(summaries)
