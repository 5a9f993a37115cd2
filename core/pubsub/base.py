"""The bus: a poke that something happened. Never the only carrier of data.

Losing a message costs latency, never data (docs/adr/0003): whoever must not miss anything reads
the journal or the row, and after a gap in the carrier every subscriber gets RESYNC once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Base of everything that is published; small, and the same text on every carrier."""


E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Topic(Generic[E]):
    """A name and the one type of event that travels under it."""

    name: str
    event_type: type[E]

    def encode(self, event: E) -> bytes:
        """Return the event as JSON."""
        return msgspec.json.encode(event)

    def decode(self, payload: bytes | str) -> E:
        """Return the event in `payload`."""
        return msgspec.json.decode(payload, type=self.event_type)


class Resync:
    """Marks a gap: events may have been missed, read the truth again."""

    def __repr__(self) -> str:
        return "RESYNC"


RESYNC: Final = Resync()

QUEUE_EVENTS_MAX = 1_000
"""Events one subscriber may lag behind; beyond that its queue is replaced by one RESYNC."""


class PubSub(Protocol):
    """Publishes events and hands them to whoever listens."""

    async def publish(self, topic: Topic[E], event: E) -> None:
        """Send `event`; returns once it is on its way. Never raises for a carrier that is away."""
        ...

    def subscribe(self, topic: Topic[E]) -> AbstractAsyncContextManager[AsyncIterator[E | Resync]]:
        """Listen to `topic` while inside the block."""
        ...

    async def start(self) -> None:
        """Connect to the carrier; safe to call when it is away."""
        ...

    async def stop(self) -> None:
        """Release the carrier and end all subscriptions."""
        ...
