"""What the system needs from a store of readings; models/timeseries/ is the one that exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from core.readings import LatestReading, SeriesColumns, Telemetry


@dataclass(frozen=True, slots=True)
class AgentTelemetry:
    """One decoded message and the agent it belongs to."""

    tenant_id: int
    agent_id: int
    agent_uuid: UUID
    telemetry: Telemetry


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What an append did: readings stored, readings that were there already."""

    inserted: int
    duplicates: int


class Aggregate(StrEnum):
    """How the readings of one bucket become one value."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """Which series: by agent, device and metric; None means all."""

    agent_ids: Sequence[int] | None = None
    devices: Sequence[str] | None = None
    metrics: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Start inclusive, end exclusive."""

    start: datetime
    end: datetime


class ReadingStore(Protocol):
    """Readings, written as batches and read as columns; the tenant is always the first key."""

    async def append(self, batch: Sequence[AgentTelemetry]) -> AppendResult:
        """Store the readings and their journal entry in one transaction, first write wins.

        Raises Unavailable when the database is away; the caller tries again with the same batch.
        """
        ...

    async def latest(
        self,
        tenant_id: int,
        agent_ids: Sequence[int] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> list[LatestReading]:
        """Return the newest reading of each series, by agent, device and metric."""
        ...

    async def series(
        self, tenant_id: int, select: SeriesFilter, span: TimeRange, *, points_max: int
    ) -> list[SeriesColumns]:
        """Return raw readings, ascending; raises LimitReached beyond `points_max` in all."""
        ...

    async def buckets(
        self,
        tenant_id: int,
        select: SeriesFilter,
        span: TimeRange,
        *,
        every: timedelta,
        aggregate: Aggregate,
        points_max: int,
    ) -> list[SeriesColumns]:
        """Return one value per non-empty bucket of width `every`, aligned to 1970-01-01 UTC.

        Only FLOAT and BOOLEAN readings count; times are the starts of the buckets.
        """
        ...
