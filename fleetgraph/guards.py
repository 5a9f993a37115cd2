"""Restarts embedded servers that ended by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0


class Guard:
    """A worker that waits for a server's end and starts it again, for ever."""

    def __init__(
        self,
        name: str,
        wait: Callable[[], Awaitable[object]],
        restart: Callable[[], Awaitable[object]],
    ) -> None:
        self.name = name
        self._wait = wait
        self._restart = restart

    async def run(self) -> None:
        """Guard until cancelled."""
        while True:
            status = await self._wait()
            _log.error("%s ended by itself (%s), starting it again", self.name, status)
            await asyncio.sleep(RESTART_SECONDS)
            await self._restart()
            _log.info("%s runs again", self.name)
