"""The newest readings of one agent, newest first: for tables and for clients of the REST API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import strawberry
from numpy.typing import NDArray

from core.context import Context
from core.errors import InvalidInput, LimitReached
from core.readings import Quality, SeriesColumns
from resolvers.readings import BEGINNING, SeriesSelect, read_series
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import Aggregate
from schema.readings import ReadingSource, source_of
from schema.scalars import Column

ROWS_MAX = 10_000
FIRST_WINDOW = timedelta(minutes=1)
SHORTEST_WINDOW = timedelta(seconds=1)

Picked = tuple[SeriesColumns, NDArray[np.intp]]
"""A series and the places of some of its readings, newest first."""


@strawberry.type(
    description="Readings of one metric of one device as columns of equal length, newest first."
)
class HistorySeries:
    """A series; the last four columns are there for buckets only."""

    agent_uuid: UUID
    metric: str
    unit: str | None
    protocol: str | None
    source: ReadingSource
    times: Column = strawberry.field(description="Texts in ISO-8601, UTC; a bucket's start.")
    values: Column = strawberry.field(description="As they were sent; of buckets the averages.")
    qualities: Column = strawberry.field(description="Words; of buckets the worst reading's.")
    averages: Column | None = None
    minima: Column | None = None
    maxima: Column | None = None
    counts: Column | None = None


@strawberry.type(description="The newest readings of one agent, or its newest buckets.")
class History:
    """What was found, by series."""

    agent_uuid: UUID
    every: timedelta | None
    series: list[HistorySeries] = strawberry.field(directives=[list_size(20)])


_COLUMNS = ("times", "values", "qualities", "averages", "minima", "maxima", "counts")


@strawberry.type
class HistoryQuery:
    """Fields of Query."""

    @strawberry.field(
        description="The newest readings of one agent, `limit` (1 to 10000) over all series, both "
        "ends inclusive; with `every` buckets. Without `start` it goes back as far as it takes.",
        directives=[
            requires("readings.read_series"),
            list_size(
                1_000,
                argument="limit",
                fields=[f"series.{column}" for column in _COLUMNS],
            ),
        ],
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
        """Return the newest readings."""
        if not 1 <= limit <= ROWS_MAX:
            raise InvalidInput("limit", f"must be between 1 and {ROWS_MAX}", limit=ROWS_MAX)
        if start and end and start > end:
            raise InvalidInput("start", "must not be after end")
        ctx = info.context.ctx
        select = SeriesSelect(agent_uuids=[agent_uuid], metrics=metrics)
        budget = info.context.budget
        async with budget.reading():
            if every is None:
                series = await newest_readings(ctx, select, start, end, limit)
            else:
                series = await newest_buckets(ctx, select, start, end, every, limit)
        budget.take(limit if every is None else 4 * limit)
        return History(agent_uuid=agent_uuid, every=every, series=series)


async def newest_readings(
    ctx: Context, select: SeriesSelect, start: datetime | None, end: datetime | None, limit: int
) -> list[HistorySeries]:
    """Return the newest readings, walking back through windows that grow until there are enough."""
    now = ctx.clock.now()
    # Nothing lies outside the window that clocks may be off.
    oldest = now - timedelta(days=ctx.policy.clock_past_days_max)
    latest = now + timedelta(hours=ctx.policy.clock_future_hours_max)
    floor = max(start or oldest, oldest)
    upper = _after(min(end or latest, latest))
    # Clocks may run ahead, but the first window should reach back from where the readings are.
    newest = min(upper, now) if start is None else upper
    found: dict[int, list[Picked]] = {}
    window, missing = FIRST_WINDOW, limit
    while upper > floor and missing > 0:
        lower = max(floor, newest - window)
        try:
            part = pick_newest(await read_series(ctx, select, start=lower, end=upper), missing)
        except LimitReached:
            if window <= SHORTEST_WINDOW:
                raise
            window = max(SHORTEST_WINDOW, window / 8)
            continue
        for columns, places in part:
            found.setdefault(columns.info.id, []).append((columns, places))
            missing -= len(places)
        upper = newest = lower
        window *= 4
    return [_readings(picked) for picked in found.values()]


def pick_newest(found: Sequence[SeriesColumns], limit: int) -> list[Picked]:
    """Return where the `limit` newest readings over all series are."""
    if not any(len(columns.times_us) for columns in found):
        return []
    sizes = [len(columns.times_us) for columns in found]
    times = np.concatenate([columns.times_us for columns in found])
    owners = np.repeat(np.arange(len(found)), sizes)
    places = np.concatenate([np.arange(size) for size in sizes])
    order = np.argsort(-times, kind="stable")[:limit]
    owners, places = owners[order], places[order]
    return [(found[at], places[owners == at]) for at in np.unique(owners).tolist()]


async def newest_buckets(
    ctx: Context,
    select: SeriesSelect,
    start: datetime | None,
    end: datetime | None,
    every: timedelta,
    limit: int,
) -> list[HistorySeries]:
    """Return the newest buckets; without `start` of as many widths as there may be rows."""
    now = ctx.clock.now()
    latest = now + timedelta(hours=ctx.policy.clock_future_hours_max)
    last = _after(min(end or now, latest))
    longest = timedelta(days=ctx.policy.clock_past_days_max)
    first = start or last - min(min(every, longest) * limit, longest, last - BEGINNING)
    averages, minima, maxima, counts = [
        await read_series(ctx, select, start=first, end=last, every=every, aggregate=aggregate)
        for aggregate in (Aggregate.AVG, Aggregate.MIN, Aggregate.MAX, Aggregate.COUNT)
    ]
    lows, highs, numbers = _by_bucket(minima), _by_bucket(maxima), _by_bucket(counts)
    series = []
    for columns, places in pick_newest(averages, limit):
        one = _readings([(columns, places)])
        keys = [(columns.info.id, time_us) for time_us in columns.times_us[places].tolist()]
        one.averages = one.values
        one.minima = Column([lows.get(key) for key in keys])
        one.maxima = Column([highs.get(key) for key in keys])
        one.counts = Column([int(numbers.get(key) or 0) for key in keys])
        series.append(one)
    return series


def _by_bucket(found: Sequence[SeriesColumns]) -> dict[tuple[int, int], float | None]:
    return {
        (columns.info.id, time_us): float(value) if isinstance(value, int | float) else None
        for columns in found
        for time_us, value in zip(columns.times_us.tolist(), columns.values, strict=True)
    }


def _readings(picked: Sequence[Picked]) -> HistorySeries:
    info = picked[0][0].info
    times = np.concatenate([columns.times_us[places] for columns, places in picked])
    qualities = np.concatenate([columns.qualities[places] for columns, places in picked])
    return HistorySeries(
        agent_uuid=info.agent_uuid,
        metric=info.metric,
        unit=info.unit or None,
        protocol=info.protocol or None,
        source=source_of(info),
        times=Column(_iso(times)),
        values=Column([columns.values[at] for columns, places in picked for at in places.tolist()]),
        qualities=Column([_WORDS[quality] for quality in qualities.tolist()]),
    )


def _iso(times_us: NDArray[np.int64]) -> list[str]:
    # Always microseconds: texts of one length sort as their times do.
    texts: list[str] = np.datetime_as_string(times_us.astype("datetime64[us]")).tolist()
    return [f"{text}Z" for text in texts]


_WORDS = {int(quality): quality.name.lower() for quality in Quality}


def _after(end: datetime) -> datetime:
    return end + timedelta(microseconds=1)  # use cases take an exclusive end
