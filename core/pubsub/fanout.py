"""Local delivery shared by every carrier: bounded queues, one per subscriber."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.pubsub.base import QUEUE_EVENTS_MAX, RESYNC, E, Event, Resync, Topic


class Fanout:
    """Delivers events of this process to its subscribers, in order, without waiting for them."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[Event | Resync]]] = defaultdict(set)

    @property
    def topics(self) -> list[str]:
        """Names somebody listens to."""
        return list(self._queues)

    def deliver(self, name: str, event: Event) -> None:
        """Queue `event` for every subscriber of `name`."""
        for queue in self._queues.get(name, ()):
            _offer(queue, event)

    def resync(self) -> None:
        """Tell every subscriber that events may have been missed."""
        for queues in self._queues.values():
            for queue in queues:
                _offer(queue, RESYNC)

    @asynccontextmanager
    async def subscribe(self, topic: Topic[E]) -> AsyncIterator[AsyncIterator[E | Resync]]:
        """Yield an iterator over the events of `topic`."""
        queue: asyncio.Queue[Event | Resync] = asyncio.Queue()
        self._queues[topic.name].add(queue)
        try:
            yield _drain(queue, topic)
        finally:
            self._queues[topic.name].discard(queue)
            if not self._queues[topic.name]:
                del self._queues[topic.name]


def _offer(queue: asyncio.Queue[Event | Resync], event: Event | Resync) -> None:
    if queue.qsize() >= QUEUE_EVENTS_MAX:
        while not queue.empty():
            queue.get_nowait()
        event = RESYNC
    queue.put_nowait(event)


async def _drain(
    queue: asyncio.Queue[Event | Resync], topic: Topic[E]
) -> AsyncIterator[E | Resync]:
    while True:
        event = await queue.get()
        if isinstance(event, (topic.event_type, Resync)):
            yield event
