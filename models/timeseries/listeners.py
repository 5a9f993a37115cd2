"""Who listens to the journal, by what they listen for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from core.live import LiveFilter
from models.timeseries.looking import News

QUEUE_ROWS_MAX: Final = 256
"""Journal rows a listener may lag behind before it is sent back to the journal."""


class Listener:
    """One listener's queue, bounded; what does not fit it reads from the journal afterwards."""

    def __init__(self, tenant_id: int, wanted: LiveFilter) -> None:
        self.tenant_id = tenant_id
        self.wanted = wanted
        self.lags = False
        self._rows = 0
        self._news: deque[News] = deque()
        self._wake = asyncio.Event()

    @property
    def place(self) -> tuple[int, int | None]:
        """The tenant and agent listened for; None means all its agents."""
        return self.tenant_id, self.wanted.agent_id

    def offer(self, news: News) -> None:
        """Queue news, or mark the listener as one that lags."""
        if self.lags:
            return
        if self._rows + len(news.rows) > QUEUE_ROWS_MAX:
            self.lags = True  # what is queued stays good
        else:
            self._news.append(news)
            self._rows += len(news.rows)
        self._wake.set()

    async def take(self) -> News | None:
        """Return the next news, or None once the listener must go back to the journal."""
        while not self._news:
            if self.lags:
                return None
            self._wake.clear()
            await self._wake.wait()
        news = self._news.popleft()
        self._rows -= len(news.rows)
        return news


class Listeners:
    """All listeners, found by tenant and agent without asking each."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[int, int | None], dict[Listener, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, listener: Listener) -> None:
        """Add a listener."""
        self._by_place.setdefault(listener.place, {})[listener] = None
        self._count += 1

    def discard(self, listener: Listener) -> None:
        """Remove a listener, if it is there."""
        there = self._by_place.get(listener.place)
        if there is None or listener not in there:
            return
        del there[listener]
        self._count -= 1
        if not there:
            del self._by_place[listener.place]

    def wants(self, tenant_id: int, agent_id: int) -> bool:
        """Whether anybody listens for this agent."""
        return (tenant_id, agent_id) in self._by_place or (tenant_id, None) in self._by_place

    def at(self, place: tuple[int, int | None]) -> list[Listener]:
        """Return who listens to a tenant's agent, or with None to all its agents."""
        return list(self._by_place.get(place, ()))
