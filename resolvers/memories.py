"""Small bounded memories of this process: what was looked up or done a moment ago.

None is a truth. Losing one costs a statement, and another process has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Keeps values for a while; at most `entries_max`, then it starts over."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries: dict[K, tuple[datetime, V]] = {}
        self._entries_max = entries_max

    def get(self, key: K, now: datetime) -> tuple[V] | None:
        """Return the value in a tuple, so that a remembered None differs from nothing."""
        found = self._entries.get(key)
        return (found[1],) if found and now < found[0] else None

    def put(self, key: K, value: V, now: datetime, *, seconds: float) -> None:
        """Remember `value` for `seconds`."""
        if len(self._entries) >= self._entries_max and key not in self._entries:
            self._entries.clear()
        self._entries[key] = (now + timedelta(seconds=seconds), value)

    def forget(self, key: K) -> None:
        """Drop what is known of `key`."""
        self._entries.pop(key, None)

    def forget_all(self, is_stale: Callable[[V], bool]) -> None:
        """Drop every value that is stale."""
        stale = [key for key, (_, value) in self._entries.items() if is_stale(value)]
        for key in stale:
            self.forget(key)
