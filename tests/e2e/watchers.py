"""Subscribers that remember every reading they saw."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.e2e.cloud import Cloud, Refused
from tests.e2e.load import Expected
from tests.tools import until

_QUERY = """subscription ($after: String) {
  readings(after: $after) { cursor agentUuid metric timestamps } }"""


class Watcher:
    """Follows all readings over one connection, or over a new one every `hop_seconds`.

    It comes back with the cursor of the last batch it got, as a browser would that lost its
    connection.
    """

    def __init__(
        self, cloud: Cloud, expected: Expected, *, hop_seconds: float = float("inf")
    ) -> None:
        self.connections = 0
        self._cloud = cloud
        self._expected = expected
        self._hop_seconds = hop_seconds
        self._cursor: str | None = None
        self._seen: list[NDArray[np.int64]] = []
        self._count = 0
        self._attached = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe; returns once nothing later can be missed."""
        self._task = asyncio.create_task(self._run(), name="watcher")
        await until(self._is_attached, "a subscriber has a cursor")

    async def saw_all(self) -> None:
        """Wait until all was seen, and check that nothing was seen twice."""
        await until(
            lambda: self._is_attached() and self._count >= self._expected.count,
            f"a subscriber saw all; it saw {self._count} of {self._expected.count}",
            seconds=60,
        )
        self._expected.check(self._seen, "the subscriber")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _is_attached(self) -> bool:
        if self._task and self._task.done():
            self._task.result()
        return self._attached.is_set()

    async def _run(self) -> None:
        while True:
            # An outage may refuse a newcomer; what it missed meanwhile is in the journal.
            with suppress(Refused, OSError, ConnectionClosed, InvalidHandshake):
                await self._follow()
            await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        async with self._cloud.follow(_QUERY, after=self._cursor) as live:
            self.connections += 1
            until_ = time.monotonic() + self._hop_seconds
            while time.monotonic() < until_:
                try:
                    batch = (await live.next(seconds=min(self._hop_seconds, 60)))["readings"]
                except TimeoutError:
                    return
                self._take(batch)

    def _take(self, batch: dict[str, object]) -> None:
        if batch["cursor"]:
            self._cursor = str(batch["cursor"])
            self._attached.set()
        series = self._expected.series_number(str(batch["agentUuid"]), str(batch["metric"]))
        if series is not None:
            keys = self._expected.keys_of(series, batch["timestamps"])
            self._seen.append(keys)
            self._count += len(keys)
