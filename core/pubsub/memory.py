"""The bus inside one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from core.pubsub.base import E, Resync, Topic
from core.pubsub.fanout import Fanout


class MemoryPubSub:
    """Delivers straight to the subscribers of this process."""

    def __init__(self) -> None:
        self._fanout = Fanout()

    async def publish(self, topic: Topic[E], event: E) -> None:
        """Queue `event` for every subscriber."""
        self._fanout.deliver(topic.name, event)

    def subscribe(self, topic: Topic[E]) -> AbstractAsyncContextManager[AsyncIterator[E | Resync]]:
        """Listen to `topic` while inside the block."""
        return self._fanout.subscribe(topic)

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """End all subscriptions."""
        self._fanout.close()
