"""Readings as they are committed: one reader of the journal per process, many listeners.

The hub reads what became visible since it last looked and hands it to its listeners. A listener
that joins, resumes or falls behind first reads the journal by itself up to where the hub
stands; both halves meet at a snapshot, so there is neither gap nor repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import numpy as np

from core.clock import micros
from core.errors import InvalidInput, Unavailable
from core.events import JOURNAL
from core.live import LiveBatch, LiveFilter
from core.policy import Policy
from core.pubsub.base import PubSub
from core.readings import SeriesColumns
from core.snapshots import Position, Snapshot
from models.timeseries import read
from models.timeseries.journal import JournalColumns, decode_body
from models.timeseries.series import SeriesCatalog
from models.timeseries.sql import load
from models.unit_of_work import AWAY, database_errors

_log = logging.getLogger(__name__)

POLL_SECONDS_MAX = 1.0
"""How late a lost poke may make a reading."""

QUEUE_ROWS_MAX = 256
"""Journal rows a listener may lag behind before it is sent back to the journal."""

_PAGE_ROWS = 256
_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _JournalRow:
    seq: int
    xid: int
    tenant_id: int
    agent_id: int
    columns: JournalColumns


@dataclass(frozen=True, slots=True)
class _News:
    """Rows of one tenant that one look at the journal brought: visible in `upto` only."""

    upto: Snapshot
    rows: list[_JournalRow]


class _Listener:
    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.lagged = False
        self._rows = 0
        self._news: deque[_News] = deque()
        self._wake = asyncio.Event()

    def offer(self, news: _News) -> None:
        if self.lagged:
            return
        if self._rows + len(news.rows) > QUEUE_ROWS_MAX:
            # What is queued stays good; the rest is read from the journal afterwards.
            self.lagged = True
        else:
            self._news.append(news)
            self._rows += len(news.rows)
        self._wake.set()

    async def take(self) -> _News | None:
        """Return the next news, or None once the listener must go back to the journal."""
        while not self._news:
            if self.lagged:
                return None
            self._wake.clear()
            await self._wake.wait()
        news = self._news.popleft()
        self._rows -= len(news.rows)
        return news


class JournalHub:
    """What core/live.py asks for, on the journal in PostgreSQL."""

    def __init__(
        self, pool: asyncpg.Pool, bus: PubSub, catalog: SeriesCatalog, policy: Policy
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._catalog = catalog
        self._retention_us = policy.journal_hours * 3_600_000_000
        self._listeners: set[_Listener] = set()
        self._frontier: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def listener_count(self) -> int:
        """How many follow now; with none, the hub neither reads nor listens."""
        return len(self._listeners)

    @asynccontextmanager
    async def follow(
        self, tenant_id: int, wanted: LiveFilter, after: str | None
    ) -> AsyncIterator[AsyncIterator[LiveBatch]]:
        """Yield an iterator of batches; see core/live.py."""
        position = Position.decode(after) if after else None
        if position is not None:
            await self._check_age(position)
        stream = self._stream(tenant_id, wanted, position)
        try:
            yield stream
        finally:
            await stream.aclose()

    async def stop(self) -> None:
        """End the reader of the journal."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    # One listener -------------------------------------------------------------------------

    async def _stream(
        self, tenant_id: int, wanted: LiveFilter, position: Position | None
    ) -> AsyncGenerator[LiveBatch, None]:
        """Follow for ever; while the database is away, wait and go on from the last batch."""
        while True:
            try:
                async with aclosing(self._session(tenant_id, wanted, position)) as session:
                    async for batch, reached in session:
                        position = reached
                        if batch is not None:
                            yield batch
            except Unavailable:
                _log.warning("a live stream waits for the database", extra={"tenant": tenant_id})
                await asyncio.sleep(_RETRY_SECONDS)

    async def _session(
        self, tenant_id: int, wanted: LiveFilter, position: Position | None
    ) -> AsyncGenerator[tuple[LiveBatch | None, Position | None], None]:
        """Follow until the listener falls behind; yields each batch and where it leads to."""
        listener = _Listener(tenant_id)
        frontier = await self._attach(listener)
        try:
            if position is None:
                snapshot, batches = await self._latest(tenant_id, wanted)
                for batch in batches:
                    yield batch, Position(snapshot) if batch.cursor else None
                position = Position(snapshot)
            else:
                async with aclosing(
                    self._catch_up(tenant_id, wanted, position, frontier)
                ) as missed:
                    async for item in missed:
                        yield item
                position = _later(_whole(position), frontier)
            yield None, position
            while (news := await listener.take()) is not None:
                for item in await self._select(wanted, position.base, news):
                    yield item
                position = _later(position, news.upto)
                yield None, position
        finally:
            await self._detach(listener)

    async def _latest(self, tenant_id: int, wanted: LiveFilter) -> tuple[Snapshot, list[LiveBatch]]:
        agents = None if wanted.agent_id is None else [wanted.agent_id]
        metrics = None if wanted.metrics is None else list(wanted.metrics)
        with database_errors():
            async with (
                self._pool.acquire() as conn,
                conn.transaction(isolation="repeatable_read", readonly=True),
            ):
                text = await conn.fetchval("select pg_current_snapshot()::text")
                newest = await read.latest_on(conn, tenant_id, agents, metrics)
        snapshot = Snapshot.parse(text)
        # Only the last batch carries a cursor: resuming inside the snapshot starts it again.
        cursors = [""] * (len(newest) - 1) + [Position(snapshot).encode()]
        batches = [
            LiveBatch(
                cursor,
                SeriesColumns(
                    found.info,
                    np.array([micros(found.time)], dtype=np.int64),
                    [found.value],
                    np.array([found.quality], dtype=np.int8),
                ),
            )
            for found, cursor in zip(newest, cursors, strict=False)
        ]
        return snapshot, batches

    async def _catch_up(
        self, tenant_id: int, wanted: LiveFilter, position: Position, frontier: Snapshot
    ) -> AsyncGenerator[tuple[LiveBatch, Position], None]:
        """Read what lies between `position` and `frontier` from the journal."""
        steps: list[Position] = []
        if position.upto is not None:
            steps.append(position)
            position = Position(position.upto)
        steps.append(Position(position.base, frontier))
        for step in steps:
            assert step.upto is not None
            seq, part = step.seq, step.part
            while True:
                # A half-delivered row is read again from its next part.
                rows = await self._between(tenant_id, wanted, step, seq - 1 if part else seq)
                for row in rows:
                    news = _News(step.upto, [row])
                    skip = part if row.seq == seq else 0
                    for item in await self._select(wanted, step.base, news, skip):
                        yield item
                if len(rows) < _PAGE_ROWS:
                    break
                seq, part = rows[-1].seq, 0

    async def _between(
        self, tenant_id: int, wanted: LiveFilter, step: Position, after_seq: int
    ) -> list[_JournalRow]:
        with database_errors():
            async with self._pool.acquire() as conn:
                found = await conn.fetch(
                    load("journal_between"),
                    tenant_id,
                    str(step.base),
                    step.base.xmin,
                    str(step.upto),
                    after_seq,
                    wanted.agent_id,
                    _PAGE_ROWS,
                )
        return [_row(row) for row in found]

    async def _select(
        self, wanted: LiveFilter, base: Snapshot, news: _News, skip_parts: int = 0
    ) -> list[tuple[LiveBatch, Position]]:
        """Return the batches of `news` that `wanted` asks for and `base` did not show."""
        rows = [
            row
            for row in news.rows
            if not base.sees(row.xid)
            and (wanted.agent_id is None or row.agent_id == wanted.agent_id)
        ]
        ids = {int(i) for row in rows for i in np.unique(row.columns.series_ids)}
        with database_errors():
            infos = await self._catalog.infos(ids)
        result = []
        for row in rows:
            for number, (series_id, part) in enumerate(row.columns.parts(), 1):
                info = infos.get(series_id)
                if info is None or number <= skip_parts:
                    continue
                if wanted.metrics is not None and info.metric not in wanted.metrics:
                    continue
                position = Position(base, news.upto, row.seq, number)
                columns = SeriesColumns(
                    info,
                    row.columns.times_us[part],
                    row.columns.python_values(part),
                    row.columns.qualities[part],
                )
                result.append((LiveBatch(position.encode(), columns), position))
        return result

    async def _check_age(self, position: Position) -> None:
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
                journal_hours=self._retention_us // 3_600_000_000,
            )

    # The reader ---------------------------------------------------------------------------

    async def _attach(self, listener: _Listener) -> Snapshot:
        async with self._starting:
            if self._task is None or self._task.done():
                with database_errors():
                    async with self._pool.acquire() as conn:
                        text = await conn.fetchval("select pg_current_snapshot()::text")
                self._frontier = Snapshot.parse(text)
                self._task = asyncio.create_task(self._run(), name="journal hub")
            assert self._frontier is not None
            self._listeners.add(listener)
            return self._frontier

    async def _detach(self, listener: _Listener) -> None:
        self._listeners.discard(listener)
        async with self._starting:
            if not self._listeners:
                await self.stop()

    async def _run(self) -> None:
        async with self._bus.subscribe(JOURNAL) as pokes:
            while True:
                try:
                    await self._look()
                except (*AWAY, Unavailable) as error:
                    _log.warning("the journal cannot be read, trying again: %s", error)
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                except Exception:
                    # The reader must outlive any one bad row or listener.
                    _log.exception("the journal reader failed, trying again")
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                try:
                    async with asyncio.timeout(POLL_SECONDS_MAX):
                        await anext(pokes)
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    return  # the bus has ended, and the program with it

    async def _look(self) -> None:
        """Read what became visible since the last look and hand it out."""
        assert self._frontier is not None
        async with self._pool.acquire() as conn:
            found = await conn.fetch(load("journal_new"), str(self._frontier), self._frontier.xmin)
        if not found:
            return
        upto = Snapshot.parse(found[0]["snapshot"])
        by_tenant: dict[int, list[_JournalRow]] = {}
        listening = {listener.tenant_id for listener in self._listeners}
        for row in found:
            if row["tenant_id"] in listening:
                by_tenant.setdefault(row["tenant_id"], []).append(_row(row))
        self._frontier = upto
        for listener in list(self._listeners):
            rows = by_tenant.get(listener.tenant_id)
            if rows:
                listener.offer(_News(upto, rows))


def _row(row: Any) -> _JournalRow:
    return _JournalRow(
        row["seq"], row["xid"], row["tenant_id"], row["agent_id"], decode_body(row["body"])
    )


def _whole(position: Position) -> Position:
    """Return where a position leads once all that `upto` added has been delivered."""
    return position if position.upto is None else Position(position.upto)


def _later(position: Position, snapshot: Snapshot) -> Position:
    """Return the position of whichever saw more."""
    base = position.base
    return Position(base if base.covers(snapshot) else snapshot)
