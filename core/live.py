"""Readings as they are committed: what a listener asks for and what it gets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from core.feeds import Feed
from core.readings import SeriesColumns
from core.snapshots import Position, Snapshot


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """Which readings of a tenant: None means all."""

    agent_id: int | None = None
    metrics: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the journal: what `upto` shows and `base` did not.

    `xids` are the transactions of its rows, None when they are not all known.
    """

    base: Snapshot
    upto: Snapshot
    xids: frozenset[int] | None = None

    def overlaps(self, seen: Snapshot) -> bool:
        """Whether `seen` may show some of the rows already."""
        if self.base.covers(seen):
            return False
        return self.xids is None or any(seen.sees(xid) for xid in self.xids)


@dataclass(slots=True)
class LiveBatch:
    """Readings of one series that were committed together, or that were merged.

    Attributes:
        columns: the readings.
        position: where it leads: what a listener has had that has had this batch. None within
            the snapshot that a stream opens with.
        xid: the transaction that committed it.
        look: the look at the journal that `position` stands in; None in a prelude.
        pieces: the batches it was merged from, in order of arrival.
    """

    columns: SeriesColumns
    position: Position | None = None
    xid: int = 0
    look: Look | None = None
    pieces: Sequence[LiveBatch] = ()

    @property
    def cursor(self) -> str:
        """Names everything delivered so far: resuming after it gives exactly the rest."""
        return self.position.encode() if self.position else ""


class LiveReadings(Protocol):
    """The journal as a stream, without gap and without repeat; waits while the database is away."""

    async def find(self, cursor: str) -> Position:
        """Return the position a cursor names.

        Raises InvalidInput for one that is malformed or older than the journal.
        """
        ...

    def listen(
        self, tenant_id: int, wanted: LiveFilter
    ) -> AbstractAsyncContextManager[AsyncIterator[LiveBatch]]:
        """Yield an iterator of what is committed once the block has been entered."""
        ...

    async def newest(self, tenant_id: int, wanted: LiveFilter) -> tuple[Snapshot, list[LiveBatch]]:
        """Return a snapshot and the newest reading of each series in it."""
        ...

    async def missed(
        self, tenant_id: int, wanted: LiveFilter, since: Position
    ) -> tuple[Snapshot, AsyncGenerator[LiveBatch, None]]:
        """Return a snapshot and what it shows beyond `since`."""
        ...


class ReadingFeed(Feed[LiveBatch, Snapshot]):
    """Readings of a tenant as they are committed.

    Starts with the newest reading of each series, or with what was committed since `after`.
    """

    def __init__(
        self,
        readings: LiveReadings,
        tenant_id: int,
        wanted: LiveFilter,
        after: Position | None = None,
    ) -> None:
        self._readings = readings
        self._tenant_id = tenant_id
        self._wanted = wanted
        self._after = after

    def live(self) -> AbstractAsyncContextManager[AsyncIterator[LiveBatch]]:
        """Listen to the journal."""
        return self._readings.listen(self._tenant_id, self._wanted)

    async def prelude(
        self, since: Snapshot | None
    ) -> tuple[Snapshot, AsyncGenerator[LiveBatch, None]]:
        """Return a snapshot and the batches that lead to it."""
        after = self._after if since is None else Position(since)
        if after is not None:
            return await self._readings.missed(self._tenant_id, self._wanted, after)
        mark, batches = await self._readings.newest(self._tenant_id, self._wanted)
        return mark, _each(batches)

    def beyond(self, event: LiveBatch, mark: Snapshot) -> LiveBatch | None:
        """Return what `mark` did not show, with a cursor for who has seen that."""
        pieces = event.pieces or (event,)
        fresh = [piece for piece in pieces if not mark.sees(piece.xid)]
        if not fresh:
            return None
        assert event.look is not None
        assert event.position is not None
        if len(fresh) == len(pieces) and not event.look.overlaps(mark):
            return event
        columns = event.columns
        if len(fresh) < len(pieces):
            columns = joined([piece.columns for piece in fresh])
        return replace(event, columns=columns, position=event.position.having_seen(mark))

    def is_past(self, event: LiveBatch, mark: Snapshot) -> bool:
        """Whether the look that brought it, or its first piece, began with `mark` or later."""
        first = event.pieces[0] if event.pieces else event
        return first.look is not None and first.look.base.covers(mark)

    def key(self, event: LiveBatch) -> Hashable:
        """Return the series."""
        return event.columns.info.id


def joined(parts: Sequence[SeriesColumns]) -> SeriesColumns:
    """Return readings of one series together, ascending by time."""
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times_us for part in parts])
    values = [value for part in parts for value in part.values]
    qualities = np.concatenate([part.qualities for part in parts])
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, qualities = times[order], qualities[order]
        values = [values[at] for at in order.tolist()]
    return replace(parts[-1], times_us=times, values=values, qualities=qualities)


async def _each(batches: Sequence[LiveBatch]) -> AsyncGenerator[LiveBatch, None]:
    for batch in batches:
        yield batch
