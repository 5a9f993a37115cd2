"""Readings of one agent as rows, newest first: for tables and for clients of the REST API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import numpy as np
import strawberry

from core.context import Context
from core.errors import InvalidInput, LimitReached
from core.readings import SeriesColumns
from resolvers.readings import SeriesSelect, read_series
from schema.context import Info
from schema.enums import Aggregate, Quality
from schema.readings import Reading, ReadingSource, moments, source_of

ROWS_MAX = 10_000
FIRST_WINDOW = timedelta(minutes=1)
SHORTEST_WINDOW = timedelta(seconds=1)


@strawberry.type(description="The readings of one series within one bucket.")
class ReadingBucket:
    """A row of aggregates."""

    agent_uuid: UUID
    metric: str
    unit: str | None
    protocol: str | None
    time: datetime = strawberry.field(description="The bucket's start.")
    average: float | None
    minimum: float | None
    maximum: float | None
    count: int
    quality: Quality = strawberry.field(description="Of the worst reading.")
    source: ReadingSource


HistoryRow = Annotated[Reading | ReadingBucket, strawberry.union("HistoryRow")]


@strawberry.type(description="Rows of one agent, newest first.")
class History:
    """Single readings, or buckets when a width was given."""

    agent_uuid: UUID
    every: timedelta | None
    rows: list[HistoryRow]


@strawberry.type
class HistoryQuery:
    """Fields of Query."""

    @strawberry.field(
        description="Readings of one agent as rows, newest first, both ends inclusive; with "
        "`every` one row per series and bucket. Without `start` it goes back as far as it takes "
        "to find `limit` rows (1 to 10000). For charts take `series`, which is far cheaper."
    )
    async def history(
        self,
        info: Info,
        agent_uuid: UUID,
        metrics: list[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        every: timedelta | None = None,
        limit: int = 1_000,
    ) -> History:
        """Return the newest rows."""
        if not 1 <= limit <= ROWS_MAX:
            raise InvalidInput("limit", f"must be between 1 and {ROWS_MAX}", limit=ROWS_MAX)
        if start and end and start > end:
            raise InvalidInput("start", "must not be after end")
        ctx = info.context.ctx
        select = SeriesSelect(agent_uuids=[agent_uuid], metrics=metrics)
        rows: list[HistoryRow]
        if every is None:
            rows = list(await newest_readings(ctx, select, start, end, limit))
        else:
            rows = list(await newest_buckets(ctx, select, start, end, every, limit))
        return History(agent_uuid=agent_uuid, every=every, rows=rows)


async def newest_readings(
    ctx: Context, select: SeriesSelect, start: datetime | None, end: datetime | None, limit: int
) -> list[Reading]:
    """Return the newest readings, walking back through windows that grow until there are enough."""
    now = ctx.clock.now()
    floor = start or now - timedelta(days=ctx.policy.clock_past_days_max)
    upper = _after(end or now + timedelta(hours=ctx.policy.clock_future_hours_max))
    newest = min(upper, now) if start is None else upper
    rows: list[Reading] = []
    window = FIRST_WINDOW
    while upper > floor and len(rows) < limit:
        lower = max(floor, min(upper, newest) - window)
        try:
            found = await read_series(ctx, select, start=lower, end=upper)
        except LimitReached:
            if window <= SHORTEST_WINDOW:
                raise
            window = max(SHORTEST_WINDOW, window / 8)
            newest = upper
            continue
        rows += _newest_first(found, limit - len(rows))
        upper = newest = lower
        window *= 4
    return rows


def _newest_first(found: Sequence[SeriesColumns], limit: int) -> list[Reading]:
    found = [columns for columns in found if len(columns.times_us)]
    if not found:
        return []
    times = np.concatenate([columns.times_us for columns in found])
    owners = np.repeat(np.arange(len(found)), [len(columns.times_us) for columns in found])
    places = np.concatenate([np.arange(len(columns.times_us)) for columns in found])
    order = np.argsort(-times, kind="stable")[:limit]
    sources = [source_of(columns.info) for columns in found]
    rows = []
    picked = zip(moments(times[order]), owners[order].tolist(), places[order].tolist(), strict=True)
    for time, owner, place in picked:
        columns = found[owner]
        quality = Quality(int(columns.qualities[place]))
        rows.append(Reading.of(columns.info, time, columns.values[place], quality, sources[owner]))
    return rows


async def newest_buckets(
    ctx: Context,
    select: SeriesSelect,
    start: datetime | None,
    end: datetime | None,
    every: timedelta,
    limit: int,
) -> list[ReadingBucket]:
    """Return the newest buckets of each series; without `start` the last `limit` of them."""
    last = _after(end or ctx.clock.now())
    first = start or max(
        last - every * limit, last - timedelta(days=ctx.policy.clock_past_days_max)
    )
    averages, minima, maxima, counts = [
        await read_series(ctx, select, start=first, end=last, every=every, aggregate=aggregate)
        for aggregate in (Aggregate.AVG, Aggregate.MIN, Aggregate.MAX, Aggregate.COUNT)
    ]
    lows, highs, numbers = _by_bucket(minima), _by_bucket(maxima), _by_bucket(counts)
    rows = []
    for columns in averages:
        info, source = columns.info, source_of(columns.info)
        pairs = zip(columns.times_us.tolist(), moments(columns.times_us), strict=True)
        for at, (time_us, time) in enumerate(pairs):
            key = (info.id, time_us)
            rows.append(
                ReadingBucket(
                    agent_uuid=info.agent_uuid,
                    metric=info.metric,
                    unit=info.unit or None,
                    protocol=info.protocol or None,
                    time=time,
                    average=_number(columns.values[at]),
                    minimum=lows.get(key),
                    maximum=highs.get(key),
                    count=int(numbers.get(key) or 0),
                    quality=Quality(int(columns.qualities[at])),
                    source=source,
                )
            )
    rows.sort(key=lambda row: (row.time, row.metric), reverse=True)
    return rows[:limit]


def _by_bucket(found: Sequence[SeriesColumns]) -> dict[tuple[int, int], float | None]:
    return {
        (columns.info.id, time_us): _number(value)
        for columns in found
        for time_us, value in zip(columns.times_us.tolist(), columns.values, strict=True)
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _after(end: datetime) -> datetime:
    return end + timedelta(microseconds=1)  # use cases take an exclusive end
