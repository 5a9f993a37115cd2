"""Counts what agents send, in memory, and adds it to their rows every few seconds."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from core.context import Context
from core.errors import Unavailable
from models.agent_traffic import Tally
from resolvers.broker_view import record_traffic

_log = logging.getLogger(__name__)

CLOSE_SECONDS_MAX: Final = 2.0
FLUSH_SECONDS: Final = 5.0
"""So much of the counts a crash may lose. The messages themselves are none of it."""


class TrafficCounter:
    """Tallies by agent. Whoever counts keeps its tally: none is ever thrown away."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tallies: dict[int, Tally] = {}
        self._flushing = asyncio.Lock()

    def of(self, agent_id: int) -> Tally:
        """Return the agent's tally, to be added to."""
        return self._tallies.setdefault(agent_id, Tally(agent_id))

    async def run(self) -> None:
        """Store the counts regularly until cancelled; `close` it afterwards."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            # Half of a statement cannot be taken back, so an end waits for it instead.
            await asyncio.shield(asyncio.create_task(self.flush(), name="traffic flush"))

    async def close(self) -> None:
        """Store what is left, if the database is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self.flush()

    async def flush(self) -> None:
        """Store what was counted; what cannot be stored now is counted on."""
        async with self._flushing:
            taken = [
                Tally(tally.agent_id, tally.messages, tally.bytes, tally.last_at)
                for tally in self._tallies.values()
                if tally.messages
            ]
            self._add(taken, -1)
            try:
                await record_traffic(self._ctx, taken)
            except Unavailable:
                self._add(taken, 1)  # said already by whoever waits for the database
            except Exception:
                self._add(taken, 1)
                _log.exception("the traffic of agents cannot be stored")

    def _add(self, tallies: list[Tally], sign: int) -> None:
        for tally in tallies:
            kept = self._tallies[tally.agent_id]
            kept.messages += sign * tally.messages
            kept.bytes += sign * tally.bytes
