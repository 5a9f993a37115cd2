"""Feeds: what many follow together, though each joins at a moment of its own.

Live events are the same for everybody and are read once. What came before is private: each
follower first reads it by itself, up to a mark; of the shared events it then takes what lies
beyond its mark. So nobody has a gap or a repeat, and nobody waits for anybody (docs/adr/0011).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import ClassVar, Generic, TypeVar

E = TypeVar("E")
M = TypeVar("M")


class Feed(ABC, Generic[E, M]):
    """Events of type E, with marks of type M; iterating over it follows it alone."""

    has_prelude: ClassVar[bool] = True
    """False: who joins gets what happens from then on, and neither `prelude` nor marks are used."""

    @abstractmethod
    def live(self) -> AbstractAsyncContextManager[AsyncIterator[E]]:
        """Listen: yield an iterator over what happens once the block has been entered."""

    @abstractmethod
    async def prelude(self, since: M | None) -> tuple[M, AsyncGenerator[E, None]]:
        """Return a mark and what a follower gets first: all that is to be had up to the mark.

        With None that is how things stand, or what came since the cursor the feed was made with;
        with an earlier mark what came since then. To be called after `live` has been entered.
        """

    @abstractmethod
    def beyond(self, event: E, mark: M) -> E | None:
        """Return what of a live event lies beyond `mark`: usually the same object, or None."""

    @abstractmethod
    def is_past(self, event: E, mark: M) -> bool:
        """Whether this live event and all that follow lie beyond `mark` as they are."""

    @abstractmethod
    def key(self, event: E) -> Hashable:
        """Return what the event supersedes for a follower that is slow; None: nothing, ever."""

    async def __aiter__(self) -> AsyncIterator[E]:
        async with self.live() as events:
            mark, opening = await self.prelude(None)
            async with aclosing(opening):
                async for event in opening:
                    yield event
            is_past = False
            async for event in events:
                is_past = is_past or self.is_past(event, mark)
                found = event if is_past else self.beyond(event, mark)
                if found is not None:
                    yield found
