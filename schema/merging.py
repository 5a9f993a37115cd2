"""Fewer, larger batches: what arrives of one series within a while is delivered together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from core.feeds import Feed
from core.live import LiveBatch, ReadingFeed, joined
from core.snapshots import Snapshot

GATHER_SECONDS = 0.02
"""How long to wait for more after a pause, so that a first snapshot goes out in one piece."""

QUEUE_BATCHES_MAX = 20_000
"""Batches that may wait for the next delivery, about 20 MB; beyond that it comes early.

Were the source not read instead, a fleet that sends more would be followed ever later."""


class MergedFeed(Feed[LiveBatch, Snapshot]):
    """A feed of readings with at most `max_hz` batches per second and series."""

    def __init__(self, readings: ReadingFeed, max_hz: float) -> None:
        self._readings = readings
        self._max_hz = max_hz

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[LiveBatch]]:
        """Listen, and merge."""
        async with self._readings.live() as batches, merged(batches, self._max_hz) as fewer:
            yield fewer

    async def prelude(
        self, since: Snapshot | None
    ) -> tuple[Snapshot, AsyncGenerator[LiveBatch, None]]:
        """Return a snapshot and the batches that lead to it, merged."""
        mark, batches = await self._readings.prelude(since)
        return mark, self._fewer(batches)

    def beyond(self, event: LiveBatch, mark: Snapshot) -> LiveBatch | None:
        """Return what of a merged batch `mark` did not show."""
        return self._readings.beyond(event, mark)

    def is_past(self, event: LiveBatch, mark: Snapshot) -> bool:
        """Whether all its pieces came after `mark`."""
        return self._readings.is_past(event, mark)

    def key(self, event: LiveBatch) -> Hashable:
        """Return the series."""
        return self._readings.key(event)

    async def _fewer(
        self, batches: AsyncGenerator[LiveBatch, None]
    ) -> AsyncGenerator[LiveBatch, None]:
        async with aclosing(batches), merged(batches, self._max_hz) as fewer:
            async for batch in fewer:
                yield batch


@asynccontextmanager
async def merged(
    batches: AsyncIterator[LiveBatch], max_hz: float
) -> AsyncIterator[AsyncIterator[LiveBatch]]:
    """Yield an iterator with at most `max_hz` batches per second and series, losing nothing.

    It is more only if QUEUE_BATCHES_MAX come within one interval.
    """
    queue: asyncio.Queue[LiveBatch | None] = asyncio.Queue(QUEUE_BATCHES_MAX)
    full = asyncio.Event()
    pump = asyncio.create_task(_pump(batches, queue, full))
    try:
        yield _deliver(queue, full, pump, 1 / max_hz)
    finally:
        pump.cancel()
        # Not `await pump`: who is cancelled meanwhile must stay so, and not take it for the pump's.
        await asyncio.gather(pump, return_exceptions=True)


# One task reads the source from beginning to end: a generator that is resumed by ever new tasks,
# each of which may be cancelled while waiting, would die at the first time-out.
async def _pump(
    batches: AsyncIterator[LiveBatch], queue: asyncio.Queue[LiveBatch | None], full: asyncio.Event
) -> None:
    try:
        async for batch in batches:
            if queue.full():
                full.set()
            await queue.put(batch)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


async def _deliver(
    queue: asyncio.Queue[LiveBatch | None],
    full: asyncio.Event,
    pump: asyncio.Task[None],
    interval: float,
) -> AsyncIterator[LiveBatch]:
    loop = asyncio.get_running_loop()
    next_at = 0.0
    while True:
        first = await queue.get()
        pending = [] if first is None else [first]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(next_at - loop.time(), min(GATHER_SECONDS, interval))):
                await full.wait()
        full.clear()
        ended = first is None
        while not ended and not queue.empty():
            batch = queue.get_nowait()
            ended = batch is None
            if batch is not None:
                pending.append(batch)
        next_at = loop.time() + interval
        for batch in merge(pending):
            yield batch
        if ended:
            await pump  # raises what ended the source
            return


def merge(pending: Sequence[LiveBatch]) -> list[LiveBatch]:
    """Return one batch per series, in order of first arrival; each keeps its pieces.

    Each leads to the last original up to which everything has been delivered, so that resuming
    after any of them loses nothing; after the last one it repeats nothing either.
    """
    by_series: dict[int, list[LiveBatch]] = {}
    for batch in pending:
        by_series.setdefault(batch.columns.info.id, []).append(batch)
    delivered: set[int] = set()
    covered = 0
    result = []
    for series_id, pieces in by_series.items():
        delivered.add(series_id)
        while covered < len(pending) and pending[covered].columns.info.id in delivered:
            covered += 1
        last = pending[covered - 1]
        columns = joined([piece.columns for piece in pieces])
        result.append(LiveBatch(columns, last.position, last.xid, last.look, pieces))
    return result
