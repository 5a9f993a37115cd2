"""What one operation may read: a bound for what no formula knows before, the number of series."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from core.errors import LimitReached

FACTOR: Final = 2
"""How many times as much one operation may read as one field of it."""

READS_MAX: Final = 2
"""Reads of one operation under way: each may bring as many values as the whole budget has."""


class ReadingBudget:
    """Counts the readings of one operation, over all its fields."""

    def __init__(self, readings_max: int) -> None:
        self._readings_max = readings_max
        self._used = 0
        self._turn = asyncio.Semaphore(READS_MAX)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Wait for the turn to read; raises LimitReached when the budget is used up."""
        async with self._turn:
            self.take(0)
            yield

    def take(self, readings: int) -> None:
        """Count what was read; raises LimitReached when it was too much in all."""
        self._used += readings
        if self._used > self._readings_max:
            raise LimitReached(
                f"One operation may read {self._readings_max} readings in all; narrow the span, "
                "use `every` or `maxPoints`, or ask in several operations",
                limit=self._readings_max,
            )
