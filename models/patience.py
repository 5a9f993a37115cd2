"""Waiting for the database: for what follows the system as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.errors import Unavailable
from models.unit_of_work import database_errors

_log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5

T = TypeVar("T")


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Return what `read` reads; while the database is away, wait and read again."""
    while True:
        try:
            with database_errors():
                return await read()
        except Unavailable:
            _log.warning("a live stream waits for the database")
            await asyncio.sleep(RETRY_SECONDS)
