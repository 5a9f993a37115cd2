"""What one follower has not had yet, read from the database for it alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

import asyncpg
import numpy as np

from core.clock import micros
from core.errors import InvalidInput
from core.live import LiveBatch, LiveFilter, Look
from core.readings import LatestReading, SeriesColumns
from core.snapshots import Position, Snapshot
from models.patience import patiently
from models.timeseries import read
from models.timeseries.looking import JournalRow, batches, series_ids
from models.timeseries.series import SeriesCatalog
from models.timeseries.sql import load
from models.unit_of_work import database_errors

_PAGE_ROWS: Final = 256


class JournalReader:
    """Reads snapshots, newest readings and spans of the journal."""

    def __init__(self, pool: asyncpg.Pool, catalog: SeriesCatalog, journal_hours: int) -> None:
        self._pool = pool
        self._catalog = catalog
        self._journal_hours = journal_hours

    async def snapshot(self) -> Snapshot:
        """Return what is visible now."""
        async with self._pool.acquire() as conn:
            return Snapshot.parse(await conn.fetchval("select pg_current_snapshot()::text"))

    async def newest(self, tenant_id: int, wanted: LiveFilter) -> tuple[Snapshot, list[LiveBatch]]:
        """Return a snapshot and the newest reading of each series in it."""
        agents = None if wanted.agent_id is None else [wanted.agent_id]
        metrics = None if wanted.metrics is None else list(wanted.metrics)
        async with (
            self._pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            text = await conn.fetchval("select pg_current_snapshot()::text")
            found = await read.latest_on(conn, tenant_id, agents, metrics)
        snapshot = Snapshot.parse(text)
        newest = [LiveBatch(_columns(each)) for each in found]
        if newest:
            # Only the last one carries a cursor: resuming inside the snapshot starts it again.
            newest[-1].position = Position(snapshot)
        return snapshot, newest

    async def between(
        self, tenant_id: int, wanted: LiveFilter, since: Position, upto: Snapshot
    ) -> AsyncGenerator[LiveBatch, None]:
        """Yield what `upto` shows beyond `since`; waits while the database is away."""
        base = since.base
        if since.upto is not None:
            async for batch in self._step(tenant_id, wanted, since):
                yield batch
            base = since.upto
        if not base.covers(upto):
            async for batch in self._step(tenant_id, wanted, Position(base, upto)):
                yield batch

    async def check_age(self, position: Position) -> None:
        """Refuse a cursor whose readings the journal may have dropped already."""
        with database_errors():
            async with self._pool.acquire() as conn:
                dropped, ahead = await conn.fetchrow(
                    "select dropped_xid, pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
                    " from journal_horizon"
                )
        newest = max(position.base.xmax, position.upto.xmax if position.upto else 0)
        if newest > ahead:
            raise InvalidInput("after", "is of another database; start without it")
        if position.base.xmin <= dropped:
            raise InvalidInput(
                "after",
                "is older than the journal keeps; start without it and read the gap with `series`",
                journal_hours=self._journal_hours,
            )

    async def _step(
        self, tenant_id: int, wanted: LiveFilter, step: Position
    ) -> AsyncGenerator[LiveBatch, None]:
        assert step.upto is not None
        look = Look(step.base, step.upto)
        seq, part = step.seq, step.part
        while True:
            # A half-delivered row is read again from its next part.
            behind = seq - 1 if part else seq
            rows = await patiently(partial(self._page, tenant_id, wanted, look, behind))
            infos = await patiently(partial(self._catalog.infos, series_ids(rows)))
            for batch in batches(rows, look, infos, wanted, (seq, part)):
                yield batch
            if len(rows) < _PAGE_ROWS:
                return
            seq, part = rows[-1].seq, 0

    async def _page(
        self, tenant_id: int, wanted: LiveFilter, look: Look, after_seq: int
    ) -> list[JournalRow]:
        async with self._pool.acquire() as conn:
            found = await conn.fetch(
                load("journal_between"),
                tenant_id,
                str(look.base),
                look.base.xmin,
                str(look.upto),
                after_seq,
                wanted.agent_id,
                _PAGE_ROWS,
            )
        return [JournalRow.of(row) for row in found]


def _columns(newest: LatestReading) -> SeriesColumns:
    return SeriesColumns(
        newest.info,
        np.array([micros(newest.time)], dtype=np.int64),
        [newest.value],
        np.array([newest.quality], dtype=np.int8),
    )
