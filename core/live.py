"""Readings as they are committed: what a listener asks for and what it gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from core.readings import SeriesColumns


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """Which readings of a tenant: None means all."""

    agent_id: int | None = None
    metrics: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class LiveBatch:
    """Readings of one series that were committed together.

    `cursor` names everything delivered up to and including this batch; resuming after it gives
    exactly the rest.
    """

    cursor: str
    columns: SeriesColumns


class LiveReadings(Protocol):
    """A stream without gap and without repeat, from the journal."""

    def follow(
        self, tenant_id: int, wanted: LiveFilter, after: str | None
    ) -> AbstractAsyncContextManager[AsyncIterator[LiveBatch]]:
        """Yield an iterator of batches.

        Without `after` it starts with the newest reading of each series; with `after` it starts
        with what was committed since. Raises InvalidInput for a cursor that is malformed or older
        than the journal.
        """
        ...
