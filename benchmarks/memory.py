"""Stand-ins in memory for what our API reads, so that a benchmark can leave the database out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import numpy as np

from core.clock import Clock
from core.live import LiveBatch, LiveFilter, Look
from core.policy import Policy
from core.reading_store import SeriesFilter, TimeRange
from core.readings import SeriesColumns, SeriesInfo
from core.snapshots import Position, Snapshot
from models.timeseries.store import PostgresReadingStore

START_MS = 1_790_000_000_000


def sine(info: SeriesInfo, points: int) -> SeriesColumns:
    """Return a series of one value per second."""
    times = START_MS * 1_000 + np.arange(points, dtype=np.int64) * 1_000_000
    values: list[Any] = (20 + np.sin(np.arange(points) / 50)).tolist()
    return SeriesColumns(info, times, values, np.zeros(points, dtype=np.int8))


class Rows:
    """Single lookups, answered at once."""

    def __init__(self, rows: Mapping[Any, Any]) -> None:
        self._rows = rows

    async def get(self, tenant_id: int, key: object) -> Any:
        """Return the row, or None."""
        return self._rows.get((tenant_id, key))


class FixedSeries(PostgresReadingStore):
    """A store that answers every request for series with the same columns."""

    def __init__(
        self, pool: asyncpg.Pool, clock: Clock, policy: Policy, columns: SeriesColumns
    ) -> None:
        super().__init__(pool, clock, policy)
        self._columns = columns

    async def series(
        self, tenant_id: int, select: SeriesFilter, span: TimeRange, *, points_max: int
    ) -> list[SeriesColumns]:
        """Return the columns."""
        return [self._columns]


class MemoryLive:
    """What core/live.py asks for, without a past: only what is published while one listens."""

    def __init__(self) -> None:
        self._listeners: dict[int | None, set[_Queue]] = {}
        self._seen = Snapshot(1, 1)

    def publish(self, agent_id: int, columns: SeriesColumns) -> None:
        """Hand readings to all who listen to the agent, or to all: a transaction each."""
        xid = self._seen.xmax
        look = Look(self._seen, Snapshot(xid + 1, xid + 1), frozenset((xid,)))
        self._seen = look.upto
        position = Position(look.base, look.upto, xid, 1)
        batch = LiveBatch(columns, position, xid, look)
        for key in (agent_id, None):
            for queue in self._listeners.get(key, ()):
                queue.put(batch)

    @asynccontextmanager
    async def listen(
        self, tenant_id: int, wanted: LiveFilter
    ) -> AsyncIterator[AsyncIterator[LiveBatch]]:
        """Yield an iterator of what is published from now on."""
        queue = _Queue()
        listeners = self._listeners.setdefault(wanted.agent_id, set())
        listeners.add(queue)
        try:
            yield queue
        finally:
            listeners.discard(queue)

    async def find(self, cursor: str) -> Position:
        """Return the position a cursor names."""
        return Position.decode(cursor)

    async def newest(self, tenant_id: int, wanted: LiveFilter) -> tuple[Snapshot, list[LiveBatch]]:
        """Return nothing."""
        return self._seen, []

    async def missed(
        self, tenant_id: int, wanted: LiveFilter, since: Position
    ) -> tuple[Snapshot, AsyncGenerator[LiveBatch, None]]:
        """Return nothing."""

        async def nothing() -> AsyncGenerator[LiveBatch, None]:
            return
            yield

        return self._seen, nothing()

    @property
    def listener_count(self) -> int:
        """How many listen."""
        return sum(map(len, self._listeners.values()))


class _Queue:
    """An iterator over what was put into it; one that waits costs a future, no task."""

    def __init__(self) -> None:
        self._items: deque[LiveBatch] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def put(self, item: LiveBatch) -> None:
        self._items.append(item)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def __aiter__(self) -> _Queue:
        return self

    async def __anext__(self) -> LiveBatch:
        while not self._items:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._items.popleft()
