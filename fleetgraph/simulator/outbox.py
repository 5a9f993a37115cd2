"""Telemetry that could not go out, waiting for its replay."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# Real agents keep 10,000 batches on disk; these live in memory, twenty agents to a process.
_BATCHES_MAX = 2_000


class Parcel(NamedTuple):
    """A batch with its original timestamps and id, as plain JSON, and its protocol."""

    protocol: str
    payload: bytes


class Outbox:
    """A bounded line of parcels; when full, the oldest are lost and counted."""

    def __init__(self, limit: int = _BATCHES_MAX) -> None:
        self.lost = 0
        self._limit = limit
        self._parcels: deque[Parcel] = deque()

    def __len__(self) -> int:
        return len(self._parcels)

    def add(self, parcel: Parcel) -> None:
        """Put a parcel at the end."""
        if len(self._parcels) >= self._limit:
            self._parcels.popleft()
            self.lost += 1
        self._parcels.append(parcel)

    def put_back(self, parcel: Parcel) -> None:
        """Put a parcel that failed again at the front."""
        if len(self._parcels) >= self._limit:
            self.lost += 1
            return
        self._parcels.appendleft(parcel)

    def take(self) -> Parcel:
        """Take the oldest parcel; there must be one."""
        return self._parcels.popleft()
