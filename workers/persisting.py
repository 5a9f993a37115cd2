"""Storing what came from the broker, however long the database is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.errors import Unavailable

_log = logging.getLogger(__name__)

_RETRY_SECONDS_MAX: Final = 2.0

T = TypeVar("T")


async def persist(step: Callable[[], Awaitable[T]]) -> T:
    """Try until the database takes it; the broker waits meanwhile."""
    wait, told = 0.2, False
    while True:
        try:
            result = await step()
        except Unavailable as error:
            if not told:
                _log.warning("ingest waits: %s", error)
                told = True
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY_SECONDS_MAX)
            continue
        if told:
            _log.info("ingest goes on")
        return result
