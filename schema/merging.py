"""Fewer, larger batches: what arrives of one series within a while is delivered together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import numpy as np

from core.live import LiveBatch
from core.readings import SeriesColumns

GATHER_SECONDS = 0.02
"""How long to wait for more after a pause, so that a first snapshot goes out in one piece."""

QUEUE_BATCHES_MAX = 1_000
"""Batches that may wait for the next delivery; beyond that the source is not read."""


@asynccontextmanager
async def merged(
    batches: AsyncIterator[LiveBatch], max_hz: float
) -> AsyncIterator[AsyncIterator[LiveBatch]]:
    """Yield an iterator with at most `max_hz` batches per second and series, losing nothing."""
    queue: asyncio.Queue[LiveBatch | None] = asyncio.Queue(QUEUE_BATCHES_MAX)
    pump = asyncio.create_task(_pump(batches, queue))
    try:
        yield _deliver(queue, pump, 1 / max_hz)
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pump


# One task reads the source from beginning to end: a generator that is resumed by ever new tasks,
# each of which may be cancelled while waiting, would die at the first time-out.
async def _pump(batches: AsyncIterator[LiveBatch], queue: asyncio.Queue[LiveBatch | None]) -> None:
    try:
        async for batch in batches:
            await queue.put(batch)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


async def _deliver(
    queue: asyncio.Queue[LiveBatch | None], pump: asyncio.Task[None], interval: float
) -> AsyncIterator[LiveBatch]:
    loop = asyncio.get_running_loop()
    next_at = 0.0
    while True:
        first = await queue.get()
        pending = [] if first is None else [first]
        await asyncio.sleep(max(next_at - loop.time(), min(GATHER_SECONDS, interval)))
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
    """Return one batch per series, in order of first arrival.

    The cursor of each is that of the last original up to which everything has been delivered, so
    that resuming after any of them loses nothing; after the last one it repeats nothing either.
    """
    by_series: dict[int, list[LiveBatch]] = {}
    for batch in pending:
        by_series.setdefault(batch.columns.info.id, []).append(batch)
    delivered: set[int] = set()
    covered = 0
    result = []
    for series_id, batches in by_series.items():
        delivered.add(series_id)
        while covered < len(pending) and pending[covered].columns.info.id in delivered:
            covered += 1
        columns = _joined([batch.columns for batch in batches])
        result.append(LiveBatch(pending[covered - 1].cursor, columns))
    return result


def _joined(parts: Sequence[SeriesColumns]) -> SeriesColumns:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times_us for part in parts])
    values = [value for part in parts for value in part.values]
    qualities = np.concatenate([part.qualities for part in parts])
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, qualities = times[order], qualities[order]
        values = [values[at] for at in order.tolist()]
    return replace(parts[-1], times_us=times, values=values, qualities=qualities)
