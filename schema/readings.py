"""Readings: single ones, series as columns, and what comes next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import numpy as np
import strawberry
from numpy.typing import NDArray
from strawberry import Parent

from core.errors import InvalidInput
from core.feeds import Feed
from core.live import LiveBatch
from core.readings import LatestReading, SeriesColumns, SeriesInfo
from core.snapshots import Snapshot
from resolvers import readings
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import Aggregate, Quality
from schema.merging import MergedFeed
from schema.scalars import Column, Value

MAX_HZ_BOUNDS = (0.1, 100.0)

_TIMESTAMPS = (
    "Milliseconds since 1970-01-01 UTC, ascending: whole numbers, or with a fraction when the "
    "readings are finer than that."
)


@strawberry.type(description="Where a reading comes from.")
class ReadingSource:
    """What is known of a series beyond its metric."""

    device: str = strawberry.field(
        description="Identity of the device within its agent: its uuid, else its endpoint's uuid, "
        "else its name."
    )
    device_name: str | None
    endpoint_uuid: str | None


@strawberry.type(description="One value of one metric at one time.")
class Reading:
    """A reading; built plain, so that lists of thousands stay cheap."""

    agent_uuid: UUID
    metric: str
    unit: str | None
    protocol: str | None
    time: datetime
    value: Value | None
    quality: Quality
    source: ReadingSource

    @classmethod
    def of(
        cls,
        info: SeriesInfo,
        time: datetime,
        value: object,
        quality: Quality,
        source: ReadingSource,
    ) -> Reading:
        """Return the reading of a series."""
        return cls(
            agent_uuid=info.agent_uuid,
            metric=info.metric,
            unit=info.unit or None,
            protocol=info.protocol or None,
            time=time,
            value=None if value is None else Value(value),
            quality=quality,
            source=source,
        )

    @classmethod
    def of_latest(cls, row: LatestReading) -> Reading:
        """Return the newest reading of a series."""
        return cls.of(row.info, row.time, row.value, row.quality, source_of(row.info))


def source_of(info: SeriesInfo) -> ReadingSource:
    """Return where the readings of a series come from."""
    return ReadingSource(
        device=info.device,
        device_name=info.device_name or None,
        endpoint_uuid=info.endpoint_uuid or None,
    )


@strawberry.type(description="One reading of a series.")
class Point:
    """A time and a value."""

    time: datetime
    value: Value | None


@strawberry.type(description="Readings of one metric of one device, as columns of equal length.")
class Series:
    """A series; read off SeriesColumns."""

    @strawberry.field
    def agent_uuid(self, columns: Parent[SeriesColumns]) -> UUID:
        """Return the agent."""
        return columns.info.agent_uuid

    @strawberry.field(description="Identity of the device within its agent.")
    def device(self, columns: Parent[SeriesColumns]) -> str:
        """Return the device."""
        return columns.info.device

    @strawberry.field
    def device_name(self, columns: Parent[SeriesColumns]) -> str | None:
        """Return the device's name, if messages told it."""
        return columns.info.device_name or None

    @strawberry.field
    def metric(self, columns: Parent[SeriesColumns]) -> str:
        """Return the metric."""
        return columns.info.metric

    @strawberry.field
    def unit(self, columns: Parent[SeriesColumns]) -> str | None:
        """Return the unit, if messages told it."""
        return columns.info.unit or None

    @strawberry.field
    def protocol(self, columns: Parent[SeriesColumns]) -> str | None:
        """Return the protocol of the endpoint, if messages told it."""
        return columns.info.protocol or None

    @strawberry.field(description=_TIMESTAMPS)
    def timestamps(self, columns: Parent[SeriesColumns]) -> Column:
        """Return the times."""
        return Column(epoch_ms(columns.times_us))

    @strawberry.field(description="The values, as they were sent; see `Column` for NaN.")
    def values(self, columns: Parent[SeriesColumns]) -> Column:
        """Return the values."""
        return Column(columns.values)

    @strawberry.field(
        description="Trust in each reading, or in the worst of each bucket: 0 good, 1 uncertain, "
        "2 bad, 3 stale, 4 unknown."
    )
    def qualities(self, columns: Parent[SeriesColumns]) -> Column:
        """Return the qualities as numbers."""
        return Column(columns.qualities)

    @strawberry.field(
        description="The same as objects. For people and small answers: the columns are a hundred "
        "times cheaper."
    )
    def points(self, columns: Parent[SeriesColumns]) -> list[Point]:
        """Return time and value pairs."""
        times = moments(columns.times_us)
        pairs = zip(times, columns.values, strict=True)
        return [Point(time=t, value=None if v is None else Value(v)) for t, v in pairs]


@strawberry.type(
    description="Readings of one series that arrived together. `cursor` names everything delivered "
    "up to and including this batch: subscribing `after` it gives exactly the rest."
)
class ReadingBatch:
    """News of one series; read off LiveBatch."""

    cursor: str

    @strawberry.field
    def agent_uuid(self, batch: Parent[LiveBatch]) -> UUID:
        """Return the agent."""
        return batch.columns.info.agent_uuid

    @strawberry.field(description="Identity of the device within its agent.")
    def device(self, batch: Parent[LiveBatch]) -> str:
        """Return the device."""
        return batch.columns.info.device

    @strawberry.field
    def device_name(self, batch: Parent[LiveBatch]) -> str | None:
        """Return the device's name, if messages told it."""
        return batch.columns.info.device_name or None

    @strawberry.field
    def metric(self, batch: Parent[LiveBatch]) -> str:
        """Return the metric."""
        return batch.columns.info.metric

    @strawberry.field
    def unit(self, batch: Parent[LiveBatch]) -> str | None:
        """Return the unit, if messages told it."""
        return batch.columns.info.unit or None

    @strawberry.field(description=_TIMESTAMPS)
    def timestamps(self, batch: Parent[LiveBatch]) -> Column:
        """Return the times."""
        return Column(epoch_ms(batch.columns.times_us))

    @strawberry.field(description="The values, as they were sent; see `Column` for NaN.")
    def values(self, batch: Parent[LiveBatch]) -> Column:
        """Return the values."""
        return Column(batch.columns.values)

    @strawberry.field(description="Trust in each reading, as in `Series.qualities`.")
    def qualities(self, batch: Parent[LiveBatch]) -> Column:
        """Return the qualities as numbers."""
        return Column(batch.columns.qualities)


@strawberry.input(description="Which series. What is left out means all.")
class SeriesSelect:
    """Conditions on series; all must hold."""

    agent_uuids: list[UUID] | None = None
    devices: list[str] | None = strawberry.field(
        default=None, description="Identities or names of devices."
    )
    metrics: list[str] | None = None

    def to_select(self) -> readings.SeriesSelect:
        """Return the same for use cases."""
        return readings.SeriesSelect(self.agent_uuids, self.devices, self.metrics)


@strawberry.type
class ReadingQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=list[Series],
        description="Readings as columns, one series per agent, device and metric. Without `every` "
        "the raw readings; with it one value per non-empty bucket, at the bucket's start. `start` "
        "is inclusive and defaults to an hour before `end`; `end` is exclusive and defaults to "
        "now. `maxPoints` thins each series to its shape.",
        directives=[
            requires("readings.read_series"),
            list_size(10),
            list_size(1_000, argument="maxPoints", fields=["points"]),
            list_size(5_000, argument="maxPoints", fields=["timestamps", "values", "qualities"]),
        ],
    )
    async def series(
        self,
        info: Info,
        select: SeriesSelect,
        start: datetime | None = None,
        end: datetime | None = None,
        every: Annotated[
            timedelta | None, strawberry.argument(description="Width of a bucket.")
        ] = None,
        aggregate: Annotated[
            Aggregate | None, strawberry.argument(description="Default: avg. Needs `every`.")
        ] = None,
        max_points: int | None = None,
    ) -> list[SeriesColumns]:
        """Return the selected series."""
        budget = info.context.budget
        async with budget.reading():
            found = await readings.read_series(
                info.context.ctx,
                select.to_select(),
                start=start,
                end=end,
                every=every,
                aggregate=aggregate,
                points_max=max_points,
            )
        budget.take(sum(len(columns.times_us) for columns in found))
        return found


@strawberry.type
class ReadingSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=ReadingBatch,
        description="Readings as they are committed, without gap and without repeat. Starts with "
        "the newest reading of each series, or `after` a cursor with what came since. `maxHz` "
        "(0.1 to 100) bounds the batches per second of each series: readings are merged, never "
        "dropped. A client that reads too slowly gets the newest batch of each series, and "
        "`extensions.dropped` says how many it has missed; `after` the last cursor before that "
        "gives them.",
        directives=[
            requires("readings.follow_readings"),
            list_size(100, fields=["timestamps", "values", "qualities"]),
        ],
    )
    async def readings(
        self,
        info: Info,
        agent_uuid: UUID | None = None,
        metrics: list[str] | None = None,
        max_hz: float | None = None,
        after: str | None = None,
    ) -> Feed[LiveBatch, Snapshot]:
        """Return the feed."""
        low, high = MAX_HZ_BOUNDS
        if max_hz is not None and not low <= max_hz <= high:
            raise InvalidInput("maxHz", f"must be between {low} and {high:g}")
        feed = await readings.follow_readings(info.context.ctx, agent_uuid, metrics, after)
        return feed if max_hz is None else MergedFeed(feed, max_hz)


def epoch_ms(times_us: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return milliseconds since 1970: whole numbers when all are, else with a fraction."""
    whole, rest = np.divmod(times_us, 1_000)
    return times_us / 1_000 if rest.any() else whole


def moments(times_us: NDArray[np.int64]) -> list[datetime]:
    """Return the times as moments in UTC."""
    return [_EPOCH + timedelta(microseconds=us) for us in times_us.tolist()]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
