from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.live import LiveBatch
from core.readings import SeriesColumns, SeriesInfo
from core.snapshots import Position, Snapshot
from schema.merging import QUEUE_BATCHES_MAX, merge, merged

pytestmark = pytest.mark.slow

AGENT = UUID(int=1)
SNAPSHOT = Snapshot(1, 1)


def batch(cursor: int, series: int, *times: int) -> LiveBatch:
    info = SeriesInfo(series, 1, 1, AGENT, "press", f"m{series}", "", "", "", "")
    stamps = np.array(times or (cursor,), dtype=np.int64)
    values: list[float | bool | str | None] = [float(each) for each in stamps]
    columns = SeriesColumns(info, stamps, values, np.zeros(len(stamps), np.int8))
    return LiveBatch(columns, Position(SNAPSHOT, SNAPSHOT, cursor))


def place(batch: LiveBatch) -> int:
    assert batch.position is not None
    return batch.position.seq


async def source(batches: Sequence[LiveBatch]) -> AsyncIterator[LiveBatch]:
    for each in batches:
        yield each


async def collected(batches: AsyncIterator[LiveBatch], hz: float) -> list[LiveBatch]:
    async with merged(batches, hz) as fewer:
        return [each async for each in fewer]


def test_joins_one_series_and_sorts_late_readings_in() -> None:
    (joined,) = merge([batch(1, 7, 30, 40), batch(2, 7, 10), batch(3, 7, 50)])
    assert joined.columns.times_us.tolist() == [10, 30, 40, 50]
    assert joined.columns.values == [10.0, 30.0, 40.0, 50.0]
    assert place(joined) == 3


def test_a_cursor_never_covers_what_has_not_been_delivered() -> None:
    first, second = merge([batch(1, 7), batch(2, 8), batch(3, 7)])
    assert (first.columns.info.id, place(first)) == (7, 1)  # 2 is still to come
    assert (second.columns.info.id, place(second)) == (8, 3)


@given(st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=30))
def test_resuming_after_any_batch_loses_nothing(series: list[int]) -> None:
    pending = [batch(at, id_) for at, id_ in enumerate(series)]
    result = merge(pending)
    seen: set[int] = set()
    for each in result:
        seen |= set(each.columns.times_us.tolist())
        resumed = {at for at in range(len(series)) if at > place(each)}
        assert seen | resumed == set(range(len(series)))
    assert result[-1].position == pending[-1].position
    assert len(result) == len(set(series))


async def test_delivers_everything_and_then_ends() -> None:
    many = [batch(at, at % 3) for at in range(3 * QUEUE_BATCHES_MAX)]
    result = await collected(source(many), 100)
    times = [time for each in result for time in each.columns.times_us.tolist()]
    assert sorted(times) == list(range(3 * QUEUE_BATCHES_MAX))
    assert place(result[-1]) == len(many) - 1


async def test_a_source_that_brings_more_than_may_wait_is_not_slowed_down() -> None:
    many = [batch(at, at % 3) for at in range(3 * QUEUE_BATCHES_MAX)]
    came = 0
    async with asyncio.timeout(8), merged(source(many), 0.01) as fewer:
        async for each in fewer:
            came += len(each.columns.times_us)
            if came >= 2 * QUEUE_BATCHES_MAX:
                break
    assert came < len(many)


async def test_keeps_the_promised_rate_of_each_series() -> None:
    loop = asyncio.get_running_loop()

    async def busy() -> AsyncIterator[LiveBatch]:
        for at in range(30):
            yield batch(at, at % 2)
            await asyncio.sleep(0.01)

    arrivals: dict[int, list[float]] = {0: [], 1: []}
    async with merged(busy(), 10) as fewer:
        async for each in fewer:
            arrivals[each.columns.info.id].append(loop.time())
    for times in arrivals.values():
        gaps = np.diff(times)
        assert len(times) <= 6
        assert gaps.min() > 0.09


async def test_hands_over_what_came_before_the_source_failed() -> None:
    async def failing() -> AsyncIterator[LiveBatch]:
        yield batch(1, 1)
        raise RuntimeError("gone")

    async with merged(failing(), 100) as fewer:
        assert place(await anext(fewer)) == 1
        with pytest.raises(RuntimeError, match="gone"):
            await anext(fewer)


async def test_leaving_ends_the_source_even_when_the_queue_is_full() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[LiveBatch]:
        try:
            at = 0
            while True:
                yield batch(at, 1)
                at += 1
        finally:
            ended.set()

    stream = endless()
    async with asyncio.timeout(5), merged(stream, 0.1):
        await asyncio.sleep(0.05)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert ended.is_set()


async def test_who_is_cancelled_while_the_source_closes_stays_cancelled() -> None:
    closing, closed = asyncio.Event(), asyncio.Event()

    async def reluctant() -> AsyncIterator[LiveBatch]:
        try:
            yield batch(1, 7)
            await asyncio.Event().wait()
        finally:
            closing.set()
            await closed.wait()

    async def follow() -> None:
        async with merged(reluctant(), 100.0) as fewer:
            async for _ in fewer:
                break

    following = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        await closing.wait()
        following.cancel()
        await asyncio.sleep(0)
        closed.set()
        await asyncio.wait([following])
    assert following.cancelled()
