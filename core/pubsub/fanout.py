"""Local delivery shared by every carrier: bounded queues, one per subscriber."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from core.pubsub.base import QUEUE_EVENTS_MAX, RESYNC, E, Event, Resync, Topic

_log = logging.getLogger(__name__)


class Fanout:
    """Delivers events of this process to its subscribers, in order, without waiting for them."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[_Subscription[Any]]] = {}

    @property
    def topics(self) -> list[str]:
        """Names somebody listens to."""
        return list(self._subscriptions)

    def deliver(self, name: str, event: Event) -> None:
        """Queue `event` for every subscriber of `name`."""
        for subscription in self._subscriptions.get(name, ()):
            subscription.offer(event)

    def deliver_text(self, name: str, text: str) -> None:
        """Queue the event in `text`, decoded once; one that cannot be read counts as a gap."""
        subscriptions = self._subscriptions.get(name)
        if not subscriptions:
            return
        event: Event | Resync
        try:
            event = subscriptions[0].topic.decode(text)
        except msgspec.DecodeError as error:
            _log.warning("an event on %s cannot be read: %s", name, error)
            event = RESYNC
        for subscription in subscriptions:
            subscription.offer(event)

    def resync(self) -> None:
        """Tell every subscriber that events may have been missed."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.offer(RESYNC)

    def close(self) -> None:
        """End every subscription once its subscriber has read what is queued."""
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.end()
        self._subscriptions.clear()

    @asynccontextmanager
    async def subscribe(self, topic: Topic[E]) -> AsyncIterator[AsyncIterator[E | Resync]]:
        """Yield an iterator over the events of `topic`."""
        subscription = _Subscription(topic)
        self._subscriptions.setdefault(topic.name, []).append(subscription)
        try:
            yield subscription
        finally:
            left = self._subscriptions.get(topic.name, [])
            if subscription in left:  # not after close()
                left.remove(subscription)
                if not left:
                    del self._subscriptions[topic.name]


class _Subscription(AsyncIterator[E | Resync]):
    """An iterator, not a generator: a cancelled `anext` (a time-out) must not end it."""

    def __init__(self, topic: Topic[E]) -> None:
        self.topic = topic
        self._ended = False
        self._queue: asyncio.Queue[Event | Resync | None] = asyncio.Queue()

    def offer(self, event: Event | Resync) -> None:
        if self._queue.qsize() >= QUEUE_EVENTS_MAX:
            while not self._queue.empty():
                self._queue.get_nowait()
            event = RESYNC
        self._queue.put_nowait(event)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def __anext__(self) -> E | Resync:
        while not self._ended:
            event = await self._queue.get()
            if event is None:
                self._ended = True
            elif isinstance(event, (self.topic.event_type, Resync)):
                return event
        raise StopAsyncIteration
