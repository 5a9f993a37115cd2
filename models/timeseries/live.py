"""Readings as they are committed: one reader of the journal per process, many listeners.

The hub reads what became visible since it last looked and hands it to its listeners. One that
falls behind reads the journal by itself up to where the hub stands; both halves meet at a
snapshot, so there is neither gap nor repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from contextvars import Context
from typing import Any, Final

import asyncpg

from core.errors import Unavailable
from core.events import JOURNAL, JournalGrew
from core.live import LiveBatch, LiveFilter, Look
from core.policy import Policy
from core.pubsub.base import PubSub, Resync
from core.readings import SeriesInfo
from core.snapshots import Position, Snapshot
from models.patience import RETRY_SECONDS, patiently
from models.timeseries.listeners import Listener, Listeners
from models.timeseries.looking import JournalRow, News, series_ids
from models.timeseries.missed import JournalReader
from models.timeseries.series import SeriesCatalog
from models.timeseries.sql import load
from models.unit_of_work import AWAY

_log = logging.getLogger(__name__)

POLL_SECONDS_MAX: Final = 1.0
"""How late a lost poke may make a reading."""


class JournalHub:
    """What core/live.py asks for, on the journal in PostgreSQL."""

    def __init__(
        self, pool: asyncpg.Pool, bus: PubSub, catalog: SeriesCatalog, policy: Policy
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._catalog = catalog
        self._reader = JournalReader(pool, catalog, policy.journal_hours)
        self._listeners = Listeners()
        self._frontier: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def listener_count(self) -> int:
        """How many listen now; with none, the hub neither reads nor listens itself."""
        return len(self._listeners)

    async def find(self, cursor: str) -> Position:
        """Return the position a cursor names; see core/live.py."""
        position = Position.decode(cursor)
        await self._reader.check_age(position)
        return position

    async def newest(self, tenant_id: int, wanted: LiveFilter) -> tuple[Snapshot, list[LiveBatch]]:
        """Return a snapshot and the newest reading of each series in it."""
        return await patiently(lambda: self._reader.newest(tenant_id, wanted))

    async def missed(
        self, tenant_id: int, wanted: LiveFilter, since: Position
    ) -> tuple[Snapshot, AsyncGenerator[LiveBatch, None]]:
        """Return a snapshot and what it shows beyond `since`."""
        upto = await patiently(self._reader.snapshot)
        return upto, self._reader.between(tenant_id, wanted, since, upto)

    @asynccontextmanager
    async def listen(
        self, tenant_id: int, wanted: LiveFilter
    ) -> AsyncIterator[AsyncIterator[LiveBatch]]:
        """Yield an iterator of what is committed once the block has been entered."""
        listener = Listener(tenant_id, wanted)
        frontier = await patiently(lambda: self._attach(listener))
        try:
            async with aclosing(self._stream(listener, frontier)) as stream:
                yield stream
        finally:
            await self._detach(listener)

    async def stop(self) -> None:
        """End the reader of the journal."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    # One listener -------------------------------------------------------------------------

    async def _stream(
        self, listener: Listener, reached: Snapshot
    ) -> AsyncGenerator[LiveBatch, None]:
        while True:
            while (news := await listener.take()) is not None:
                for batch in news.select(listener.wanted):
                    yield batch
                reached = news.look.upto
            frontier = self._rejoin(listener)
            since = Position(reached)
            async with aclosing(
                self._reader.between(listener.tenant_id, listener.wanted, since, frontier)
            ) as missed:
                async for batch in missed:
                    yield batch
            reached = frontier

    def _rejoin(self, listener: Listener) -> Snapshot:
        """Offer news to a listener again; returns where they begin."""
        assert self._frontier is not None
        listener.lags = False
        return self._frontier

    # The reader ---------------------------------------------------------------------------

    async def _attach(self, listener: Listener) -> Snapshot:
        async with self._starting:
            if self._task is None or self._task.done():
                self._frontier = await self._reader.snapshot()
                # A context of its own: it reads for all tenants, not for who came first.
                self._task = asyncio.create_task(self._run(), name="journal hub", context=Context())
            assert self._frontier is not None
            self._listeners.add(listener)
            return self._frontier

    async def _detach(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        async with self._starting:
            if not self._listeners:
                await self.stop()

    async def _run(self) -> None:
        poked = asyncio.Event()
        async with self._bus.subscribe(JOURNAL) as pokes:
            hearing = asyncio.create_task(_hear(pokes, poked), name="journal pokes")
            try:
                while not hearing.done():  # else the bus has ended, and the program with it
                    await self._look_safely()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS_MAX):
                            await poked.wait()
                    poked.clear()
            finally:
                hearing.cancel()
                with suppress(asyncio.CancelledError):
                    await hearing

    async def _look_safely(self) -> None:
        while True:
            try:
                return await self._look()
            except (*AWAY, Unavailable) as error:
                _log.warning("the journal cannot be read, trying again: %s", error)
            except Exception:
                # The reader must outlive any one bad row or listener.
                _log.exception("the journal reader failed, trying again")
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        """Read what became visible since the last look and hand it out."""
        assert self._frontier is not None
        async with self._pool.acquire() as conn:
            found = await conn.fetch(load("journal_new"), str(self._frontier), self._frontier.xmin)
        if not found:
            return
        news = await self._news_of(found)
        self._frontier = Snapshot.parse(found[0]["snapshot"])
        for place, each in news.items():
            for listener in self._listeners.at(place):
                listener.offer(each)

    async def _news_of(self, found: Sequence[Any]) -> dict[tuple[int, int | None], News]:
        """Return what the rows are to listeners, by tenant and agent."""
        rows: dict[int, JournalRow] = {}
        infos: dict[int, SeriesInfo] = {}
        while fresh := [
            JournalRow.of(row)
            for row in found
            if row["seq"] not in rows and self._listeners.wants(row["tenant_id"], row["agent_id"])
        ]:
            rows |= {row.seq: row for row in fresh}
            infos |= await self._catalog.infos(series_ids(fresh))  # listeners may join meanwhile
        places: dict[tuple[int, int | None], list[JournalRow]] = {}
        for _, row in sorted(rows.items()):
            places.setdefault((row.tenant_id, row.agent_id), []).append(row)
            places.setdefault((row.tenant_id, None), []).append(row)
        assert self._frontier is not None
        upto = Snapshot.parse(found[0]["snapshot"])
        return {
            place: News(
                Look(self._frontier, upto, frozenset(row.xid for row in there)), there, infos
            )
            for place, there in places.items()
        }


async def _hear(pokes: AsyncIterator[JournalGrew | Resync], poked: asyncio.Event) -> None:
    """Many pokes at once are one: what they tell of is read in one look."""
    try:
        async for _ in pokes:
            poked.set()
    finally:
        poked.set()
