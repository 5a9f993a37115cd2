"""The store of readings on PostgreSQL: what core/reading_store.py asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import numpy as np

from core.clock import Clock
from core.errors import LimitReached
from core.policy import Policy
from core.reading_store import AgentTelemetry, Aggregate, AppendResult, SeriesFilter, TimeRange
from core.readings import LatestReading, SeriesColumns, SeriesInfo
from models.timeseries import read
from models.timeseries.append import Appender
from models.timeseries.copy import Rows
from models.timeseries.series import SeriesCatalog
from models.unit_of_work import database_errors


class PostgresReadingStore:
    """Readings on plain PostgreSQL, through a pool of its own."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, policy: Policy) -> None:
        self._pool = pool
        self._policy = policy
        self.catalog = SeriesCatalog(pool, clock)
        self._appender = Appender(pool, clock)

    async def append(self, batch: Sequence[AgentTelemetry]) -> AppendResult:
        """Store the readings and their journal entry in one transaction, first write wins."""
        with database_errors():
            rows = await self._resolve(batch)
            inserted = await self._appender.append(rows)
        return AppendResult(inserted, len(rows) - inserted)

    async def _resolve(self, batch: Sequence[AgentTelemetry]) -> Rows:
        while True:
            await self.catalog.resolve(
                (item.tenant_id, item.agent_id, item.agent_uuid, spec)
                for item in batch
                for spec in dict.fromkeys(item.telemetry.specs)
            )
            try:
                return _rows(batch, self.catalog)
            except KeyError:
                # Another batch made the full cache start anew in between: resolve again.
                continue

    async def latest(
        self,
        tenant_id: int,
        agent_ids: Sequence[int] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> list[LatestReading]:
        """Return the newest reading of each series, by agent, device and metric."""
        with database_errors():
            return await read.latest(self._pool, tenant_id, agent_ids, metrics)

    async def series(
        self, tenant_id: int, select: SeriesFilter, span: TimeRange, *, points_max: int
    ) -> list[SeriesColumns]:
        """Return raw readings, ascending; raises LimitReached beyond `points_max` in all."""
        with database_errors():
            found = await self._select(tenant_id, select)
            return await read.raw(self._pool, tenant_id, found, span, points_max)

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
        """Return one value per non-empty bucket of width `every`."""
        with database_errors():
            found = await self._select(tenant_id, select)
            return await read.buckets(
                self._pool, tenant_id, found, span, every, aggregate, points_max
            )

    async def _select(self, tenant_id: int, select: SeriesFilter) -> list[SeriesInfo]:
        limit = self._policy.series_count_max
        found = await self.catalog.select(tenant_id, select, limit + 1)
        if len(found) > limit:
            raise LimitReached(
                f"the selection matches more than {limit} series; name agents or metrics",
                limit=limit,
            )
        return found


def _rows(batch: Sequence[AgentTelemetry], catalog: SeriesCatalog) -> Rows:
    ids = catalog.ids
    series_ids: list[int] = []
    texts: dict[int, str] = {}
    for item in batch:
        agent_id, telemetry = item.agent_id, item.telemetry
        if telemetry.texts:
            offset = len(series_ids)
            texts.update({offset + at: text for at, text in telemetry.texts.items()})
        series_ids.extend([ids[agent_id, spec] for spec in telemetry.specs])
    counts = [len(item.telemetry) for item in batch]
    return Rows(
        tenant_ids=np.repeat(np.array([i.tenant_id for i in batch], dtype=np.int32), counts),
        agent_ids=np.repeat(np.array([i.agent_id for i in batch], dtype=np.int32), counts),
        series_ids=np.array(series_ids, dtype=np.int32),
        times_us=np.concatenate([i.telemetry.times_us for i in batch] or [np.empty(0, np.int64)]),
        values=np.concatenate([i.telemetry.values for i in batch] or [np.empty(0)]),
        kinds=np.concatenate([i.telemetry.kinds for i in batch] or [np.empty(0, np.int8)]),
        qualities=np.concatenate([i.telemetry.qualities for i in batch] or [np.empty(0, np.int8)]),
        texts=texts,
    )
