"""The catalogue of series: one row each, ids cached in the process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from core.clock import Clock
from core.reading_store import SeriesFilter
from core.readings import SeriesInfo, SeriesSpec
from models.timeseries.sql import load

CACHED_SPECS_MAX = 500_000
"""Distinct (agent, spec) pairs kept; beyond that the cache starts anew."""

_INFOS_TTL = timedelta(seconds=60)

Wanted = tuple[int, int, UUID, SeriesSpec]
"""(tenant id, agent id, agent uuid, what the message said)."""


class SeriesCatalog:
    """Finds the id of a series, makes it when it is new, remembers both."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self.ids: dict[tuple[int, SeriesSpec], int] = {}
        self._infos: dict[int, SeriesInfo] = {}
        self._infos_since = clock.now()

    async def resolve(self, wanted: Iterable[Wanted]) -> None:
        """Put the ids of all `wanted` into `ids`; creates and updates rows as needed.

        Runs in a transaction of its own, ahead of the readings: a series without readings does
        no harm, and its id survives when the readings must be tried again.
        """
        missing = {(w[1], w[3]): w for w in wanted if (w[1], w[3]) not in self.ids}
        if not missing:
            return
        if len(self.ids) + len(missing) > CACHED_SPECS_MAX:
            self.ids.clear()
            self._infos.clear()
        rows = list({_fingerprint(w): w for w in missing.values()}.items())
        rows.sort(key=lambda row: row[0])  # one order for all writers, so that none deadlock
        async with self._pool.acquire() as conn:
            found = await conn.fetch(load("resolve_series"), *_columns(rows, self._clock))
        by_fingerprint = {bytes(row["fingerprint"]): row["id"] for row in found}
        for key, want in missing.items():
            series_id = by_fingerprint[_fingerprint(want)]
            self.ids[key] = series_id
            self._infos.pop(series_id, None)

    async def infos(self, series_ids: Iterable[int]) -> dict[int, SeriesInfo]:
        """Return what is known of each series, at most a minute old.

        Another process may have learnt a new unit or name meanwhile.
        """
        if self._clock.now() - self._infos_since > _INFOS_TTL:
            self._infos.clear()
            self._infos_since = self._clock.now()
        unknown = [i for i in set(series_ids) if i not in self._infos]
        if unknown:
            async with self._pool.acquire() as conn:
                for row in await conn.fetch(load("series_by_id"), unknown):
                    self._infos[row["id"]] = info_of(row)
        return {i: self._infos[i] for i in series_ids if i in self._infos}

    async def select(self, tenant_id: int, wanted: SeriesFilter, limit: int) -> list[SeriesInfo]:
        """Return the tenant's series that match, by agent, device and metric, at most `limit`."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                load("select_series"),
                tenant_id,
                _list(wanted.agent_ids),
                _list(wanted.devices),
                _list(wanted.metrics),
                limit,
            )
        return [info_of(row) for row in rows]


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def info_of(row: Any) -> SeriesInfo:
    """Return the series in a row that has its columns and `agent_uuid`."""
    return SeriesInfo(
        id=row["id"],
        tenant_id=row["tenant_id"],
        agent_id=row["agent_id"],
        agent_uuid=row["agent_uuid"],
        device=row["device"],
        metric=row["metric"],
        unit=row["unit"],
        protocol=row["protocol"],
        device_name=row["device_name"],
        endpoint_uuid=row["endpoint_uuid"],
    )


def _fingerprint(want: Wanted) -> bytes:
    _tenant_id, agent_id, _uuid, spec = want
    text = f"{agent_id}\x1f{spec.metric}\x1f{spec.device}"
    return hashlib.sha256(text.encode()).digest()[:16]


def _columns(rows: list[tuple[bytes, Wanted]], clock: Clock) -> list[Any]:
    wants = [want for _, want in rows]
    specs = [want[3] for want in wants]
    return [
        [want[0] for want in wants],
        [want[1] for want in wants],
        [fingerprint for fingerprint, _ in rows],
        [spec.metric for spec in specs],
        [spec.device for spec in specs],
        [spec.unit for spec in specs],
        [spec.protocol for spec in specs],
        [spec.device_name for spec in specs],
        [spec.endpoint_uuid for spec in specs],
        clock.now(),
    ]
