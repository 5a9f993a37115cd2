"""A group: one subscription that is resolved and encoded once for all its members."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from graphql import GraphQLError

from core.feeds import Feed
from core.fence import fenced_tenant
from schema.context import GraphQLContext
from schema.errors import present
from schema.execution.engine import Following
from schema.execution.feeds import feed_of
from schema.execution.requests import Answer, Refused
from schema.execution.seats import Frame, Seat

_log = logging.getLogger(__name__)


class Encode(Protocol):
    """Turns an answer into JSON: compact, and `extensions`, if any, last."""

    def __call__(self, answer: Answer, /) -> bytes:
        """Return `answer.body()` as JSON."""
        ...


class _Missed:
    """Live events that a member cannot have yet, because its prelude is still on its way."""

    def __init__(self, events_max: int) -> None:
        self.has_overflowed = False
        self.is_bounded = True
        self.events: deque[tuple[Any, Frame]] = deque()
        self._events_max = events_max

    def add(self, event: Any, frame: Frame) -> None:
        if self.has_overflowed:
            return
        if self.is_bounded and len(self.events) >= self._events_max:
            # The prelude is then continued from its mark instead.
            self.has_overflowed = True
            self.events.clear()
        else:
            self.events.append((event, frame))


class Group:
    """Hands each event of one feed to all members.

    A member passes three stages: `joining` while a task of its own brings its prelude; then
    `settling` until the feed has passed its mark; then `_live`, where an event costs a call.
    """

    def __init__(
        self,
        open_source: Callable[[], Awaitable[Following]],
        encode: Encode,
        context: GraphQLContext,
        *,
        queue_events: int,
        on_end: Callable[[], None],
    ) -> None:
        self._open_source = open_source
        self._encode = encode
        self._context = context
        self._queue_events = queue_events
        self._on_end = on_end
        self._live: dict[Seat, None] = {}
        self._settling: dict[Seat, Any] = {}
        self._joining: dict[Seat, _Missed] = {}
        self._tasks: dict[Seat, asyncio.Task[None]] = {}
        self._started = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="live group")

    @property
    def member_count(self) -> int:
        """How many follow, at whatever stage."""
        return len(self._live) + len(self._settling) + len(self._joining)

    def join(self, seat: Seat, following: Following) -> None:
        """Add a member, who opened `following` for itself."""
        feed = feed_of(following.source)
        if not feed.has_prelude:
            self._live[seat] = None
            return
        self._joining[seat] = _Missed(self._queue_events)
        self._tasks[seat] = asyncio.create_task(
            self._bring_in(seat, feed, following), name="live prelude"
        )

    async def leave(self, seat: Seat) -> None:
        """Remove a member; with the last one the source is closed."""
        seat.leave()
        self._forget(seat)
        ending: list[asyncio.Task[None]] = []
        task = self._tasks.pop(seat, None)
        if task is not None:
            ending.append(task)
        if not self.member_count:
            self._on_end()
            ending.append(self._task)
        await _ended(ending)

    async def stop(self) -> None:
        """Close the source and tell nobody."""
        self._on_end()
        await _ended([self._task, *self._tasks.values()])

    # The shared part ------------------------------------------------------------------------

    async def _run(self) -> None:
        fenced_tenant.set(self._context.ctx.tenant_id)
        last: Frame | None = None
        try:
            following = await self._open_source()
            feed = feed_of(following.source)
            async with feed.live() as events:
                self._started.set()
                async for event in events:
                    frame = await self._frame(following, event)
                    await self._hand_out(feed, following, event, frame)
        except Refused as refused:
            last = self._encoded(refused.answer)
        except Exception as error:
            last = self._failure(error)
        self._end(last)

    async def _hand_out(
        self, feed: Feed[Any, Any], following: Following, event: Any, frame: Frame
    ) -> None:
        key = feed.key(event)
        for missed in self._joining.values():
            missed.add(event, frame)
        private = self._settle(feed, event, key, frame) if self._settling else ()
        payload = frame.payload
        for seat in tuple(self._live):
            try:
                if seat.is_clear and seat.is_ready():
                    seat.send(payload)
                else:
                    seat.hold(key, frame)
            except Exception:
                _log.exception("a member of a live group failed")
                self._forget(seat)
        for seat, rest in private:
            seat.deliver(key, await self._frame(following, rest))

    def _settle(
        self, feed: Feed[Any, Any], event: Any, key: Any, frame: Frame
    ) -> list[tuple[Seat, Any]]:
        """Serve those whose mark may lie behind this event; return who needs a frame of its own."""
        private = []
        for seat, mark in tuple(self._settling.items()):
            if feed.is_past(event, mark):
                del self._settling[seat]
                self._live[seat] = None  # gets it with the others
                continue
            rest = feed.beyond(event, mark)
            if rest is event:
                seat.deliver(key, frame)
            elif rest is not None:
                private.append((seat, rest))
        return private

    async def _frame(self, following: Following, event: Any) -> Frame:
        return self._encoded(await following.resolve(event))

    def _encoded(self, answer: Answer) -> Frame:
        return Frame(self._encode(answer), bool(answer.extensions))

    def _failure(self, error: Exception) -> Frame:
        wrapped = GraphQLError(str(error), original_error=error)
        return self._encoded(Answer(None, [present(wrapped, self._context.ctx.request_id)]))

    def _end(self, last: Frame | None) -> None:
        self._on_end()
        for task in self._tasks.values():
            task.cancel()
        for seat in (*self._live, *self._settling, *self._joining):
            seat.finish(last)
            self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        self._live.pop(seat, None)
        self._settling.pop(seat, None)
        self._joining.pop(seat, None)

    # The part of one member -----------------------------------------------------------------

    async def _bring_in(self, seat: Seat, feed: Feed[Any, Any], following: Following) -> None:
        fenced_tenant.set(self._context.ctx.tenant_id)
        try:
            await self._started.wait()
            mark = await self._prelude(seat, feed, following)
            await self._catch_up(seat, feed, following, mark)
            self._stay(seat)
            del self._joining[seat]
            self._settling[seat] = mark
        except Exception as error:
            seat.finish(self._failure(error))
            self._forget(seat)
        self._tasks.pop(seat, None)

    def _stay(self, seat: Seat) -> None:
        """Raise CancelledError for a member that has left: its task may not have noticed.

        `asyncio.wait_for`, which drivers call, forgets a cancellation that comes together with its
        result.
        """
        if seat not in self._joining:
            raise asyncio.CancelledError

    async def _prelude(self, seat: Seat, feed: Feed[Any, Any], following: Following) -> Any:
        mark = None
        while True:
            self._stay(seat)
            missed = self._joining[seat] = _Missed(self._queue_events)
            mark, events = await feed.prelude(mark)
            async with aclosing(events):
                async for event in events:
                    frame = await self._frame(following, event)
                    self._stay(seat)
                    await seat.ready()
                    seat.send(frame.payload)
            if not missed.has_overflowed:
                return mark

    async def _catch_up(
        self, seat: Seat, feed: Feed[Any, Any], following: Following, mark: Any
    ) -> None:
        """Hand on what was missed. This does not wait for the member, so it ends."""
        self._stay(seat)
        missed = self._joining[seat]
        missed.is_bounded = False
        while missed.events:
            event, frame = missed.events.popleft()
            rest = feed.beyond(event, mark)
            if rest is None:
                continue
            if rest is not event:
                frame = await self._frame(following, rest)
            seat.deliver(feed.key(rest), frame)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end, which is not that of the caller."""
    for task in tasks:
        if not task.cancelling():  # a second time would end its cleaning up
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)
