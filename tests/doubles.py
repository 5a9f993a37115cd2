"""Stand-ins at the border of the system: time, identities, the bus, the live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.pubsub.base import E, Event, Resync, Topic
from core.pubsub.memory import MemoryPubSub


class ManualClock:
    """Time that moves when told to."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 3, 1, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, *, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class CountingIds:
    """Identities 1, 2, 3 …, so that snapshots are stable."""

    def __init__(self, start: int = 0) -> None:
        self._count = start

    def _next(self) -> int:
        self._count += 1
        return self._count

    def uuid(self) -> UUID:
        return UUID(int=(0x7000 << 64) + (0x8 << 60) + self._next())

    def secret(self, nbytes: int = 32) -> str:
        return f"secret-{self._next():0{nbytes}d}"

    def secret_hex(self, nbytes: int = 32) -> str:
        return f"{self._next():0{nbytes * 2}x}"


class RecordingBus:
    """A memory bus that remembers what was published."""

    def __init__(self) -> None:
        self._inner = MemoryPubSub()
        self.published: list[tuple[str, Event]] = []

    async def publish(self, topic: Topic[E], event: E) -> None:
        self.published.append((topic.name, event))
        await self._inner.publish(topic, event)

    def subscribe(self, topic: Topic[E]) -> AbstractAsyncContextManager[AsyncIterator[E | Resync]]:
        return self._inner.subscribe(topic)

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None
