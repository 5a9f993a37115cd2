"""One batch into the database: hot rows, texts, latest values and journal in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from core.clock import Clock
from models.timeseries import copy
from models.timeseries.copy import Rows
from models.timeseries.journal import encode_body
from models.timeseries.partitions import WIDTHS, ensure_partitions, name_of, start_of
from models.timeseries.sql import load

_DAY_US = 86_400_000_000
_STAGING = (
    "create temp table if not exists reading_staging"
    " (like reading_hot including defaults) on commit delete rows"
)


class Appender:
    """Stores batches; first write wins by (series, time).

    COPY goes into the days' partitions: PostgreSQL refuses it for a table with row-level security.
    """

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._partitions: set[tuple[str, datetime]] = set()

    async def append(self, rows: Rows) -> int:
        """Store `rows` and return how many were new; what was new is in the journal too.

        The straight COPY fails as a whole when a reading is there already. Then, and only then,
        the batch goes through a staging table, which is two to three times slower.
        """
        rows = rows.first_of_each()
        if not len(rows):
            return 0
        now = self._clock.now()
        async with self._pool.acquire() as conn:
            await self._ensure_partitions(conn, rows, now)
            try:
                async with conn.transaction():
                    for start, part in _by_day(rows):
                        await self._copy(conn, name_of("reading_hot", start), part)
                    await self._finish(conn, rows, now)
                return len(rows)
            except asyncpg.UniqueViolationError:
                return await self._append_new(conn, rows, now)
            except (asyncpg.CheckViolationError, asyncpg.UndefinedTableError):
                # A partition we knew of is gone: look again, then let the caller retry.
                self._partitions.clear()
                raise

    async def _append_new(self, conn: Any, rows: Rows, now: datetime) -> int:
        async with conn.transaction():
            await conn.execute(_STAGING)
            await self._copy(conn, "reading_staging", rows)
            body = await copy.fetch_binary(conn, load("insert_staged"))
            new = rows.take(_where(rows, *copy.decode_keys(body)))
            if len(new):
                await self._finish(conn, new, now)
        return len(new)

    @staticmethod
    async def _copy(conn: Any, table: str, rows: Rows) -> None:
        await conn.copy_to_table(
            table, source=copy.encode(rows), columns=copy.COLUMNS, format="binary"
        )

    async def _finish(self, conn: Any, rows: Rows, now: datetime) -> None:
        if rows.texts:
            for start, part in _by_day(rows):
                await conn.copy_records_to_table(
                    name_of("reading_text", start),
                    records=_text_records(part),
                    columns=("tenant_id", "agent_id", "series_id", "ts", "value"),
                )
        await conn.execute(load("upsert_latest"), *latest_columns(rows))
        await conn.execute(load("append_journal"), *journal_columns(rows), now)

    async def _ensure_partitions(self, conn: Any, rows: Rows, now: datetime) -> None:
        starts = [_start_of_day(day) for day in np.unique(rows.times_us // _DAY_US)]
        wanted = {("reading_hot", start) for start in starts}
        if rows.texts:
            wanted |= {("reading_text", start) for start in starts}
        wanted.add(("journal", start_of(now, WIDTHS["journal"])))
        for table, start in sorted(wanted - self._partitions):
            await ensure_partitions(conn, table, [start])
            self._partitions.add((table, start))


def _start_of_day(day: np.int64) -> datetime:
    return datetime.fromtimestamp(int(day) * 86_400, UTC)


def _by_day(rows: Rows) -> list[tuple[datetime, Rows]]:
    """Return the rows of each day, by its start."""
    days = rows.times_us // _DAY_US
    found = np.unique(days)
    if len(found) == 1:
        return [(_start_of_day(found[0]), rows)]
    return [(_start_of_day(day), rows.take(np.flatnonzero(days == day))) for day in found]


def _where(
    rows: Rows, series_ids: NDArray[np.int32], times_us: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Return the indexes of the rows with these keys, ascending."""
    key = np.dtype([("series", np.int32), ("time", np.int64)])
    mine = np.empty(len(rows), dtype=key)
    mine["series"], mine["time"] = rows.series_ids, rows.times_us
    theirs = np.empty(len(series_ids), dtype=key)
    theirs["series"], theirs["time"] = series_ids, times_us
    return np.flatnonzero(np.isin(mine, theirs))


def _text_records(rows: Rows) -> list[tuple[int, int, int, datetime, str]]:
    return [
        (
            int(rows.tenant_ids[at]),
            int(rows.agent_ids[at]),
            int(rows.series_ids[at]),
            _moment(int(rows.times_us[at])),
            text,
        )
        for at, text in rows.texts.items()
    ]


def latest_columns(rows: Rows) -> list[Any]:
    """Return the newest row of each series, in one order for all writers, for upsert_latest.sql."""
    order = np.lexsort((rows.times_us, rows.series_ids, rows.agent_ids))
    series = rows.series_ids[order]
    last_of_each = np.append(series[1:] != series[:-1], True)
    newest = rows.take(order[last_of_each])
    texts: list[str | None] = [None] * len(newest)
    for at, text in newest.texts.items():
        texts[at] = text
    return [
        newest.tenant_ids.tolist(),
        newest.agent_ids.tolist(),
        newest.series_ids.tolist(),
        newest.qualities.tolist(),
        newest.kinds.tolist(),
        newest.times_us.tolist(),
        newest.values.tolist(),
        texts,
    ]


def journal_columns(rows: Rows) -> list[Any]:
    """Return one journal row per agent: the arguments of append_journal.sql but the time."""
    agents = np.unique(rows.agent_ids)
    tenants, counts, bodies = [], [], []
    for agent in agents:
        part = rows if len(agents) == 1 else rows.take(np.flatnonzero(rows.agent_ids == agent))
        tenants.append(int(part.tenant_ids[0]))
        counts.append(len(part))
        bodies.append(encode_body(part))
    return [tenants, agents.tolist(), counts, bodies]


def _moment(us: int) -> datetime:
    # Integer arithmetic: a float of seconds would lose the last microsecond.
    seconds, micros = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
