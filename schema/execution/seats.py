"""One follower of a shared subscription: what waits for it while it is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Final, NamedTuple, Protocol

TOO_SLOW: Final = "too slow for too long"
TOO_MANY_WAIT: Final = "too slow: too many events wait"

KEYS_FACTOR: Final = 10
"""How many times more events may wait that others of their key supersede: series are many."""

_SWEEP_SECONDS_MAX: Final = 1.0


class Member(Protocol):
    """Who opened a subscription, over whatever transport; its methods never raise."""

    def is_ready(self) -> bool:
        """Whether a frame may be sent now: little waits unsent."""
        ...

    def send(self, payload: bytes) -> None:
        """Send one answer, JSON bytes of the response map; synchronous, never blocks."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection: it was too slow for too long."""
        ...

    def complete(self) -> None:
        """The subscription ended by itself."""
        ...


class Frame(NamedTuple):
    """An answer as bytes; `is_extended`: its last member is `extensions`, and not empty."""

    payload: bytes
    is_extended: bool

    def telling(self, dropped: int) -> bytes:
        """Return the payload with `extensions.dropped`."""
        if self.is_extended:
            return b'%s,"dropped":%d}}' % (self.payload[:-2], dropped)
        return b'%s,"extensions":{"dropped":%d}}' % (self.payload[:-1], dropped)


class _Unkeyed:
    """Stands for the key of an event that supersedes nothing."""

    __slots__ = ()


class Seat:
    """A member's place. While `is_clear` nothing waits, and frames go straight to the member."""

    __slots__ = (
        "_dropped",
        "_is_ending",
        "_is_gone",
        "_member",
        "_queue_events",
        "_ready",
        "_unkeyed",
        "_waiting",
        "_watch",
        "is_clear",
        "is_ready",
        "send",
        "slow_since",
    )

    def __init__(self, member: Member, watch: SlowWatch, queue_events: int) -> None:
        self.is_ready = member.is_ready
        self.send = member.send
        self.is_clear = True
        self.slow_since = 0.0
        self._member = member
        self._watch = watch
        self._queue_events = queue_events
        self._waiting: dict[Hashable, Frame] = {}
        self._unkeyed = 0
        self._dropped = 0
        self._is_ending = False
        self._is_gone = False
        self._ready: asyncio.Future[None] | None = None

    def deliver(self, key: Hashable, frame: Frame) -> None:
        """Send the frame, or let it wait if the member is slow."""
        if self.is_clear and self.is_ready():
            self.send(frame.payload)
        else:
            self.hold(key, frame)

    def hold(self, key: Hashable, frame: Frame) -> None:
        """Let the frame wait: the latest of each key, and all without one, or the member is cut."""
        if self._is_gone:
            return
        if key is None:
            if self._unkeyed >= self._queue_events:
                self.cut(TOO_MANY_WAIT)
                return
            self._unkeyed += 1
            key = _Unkeyed()
        elif self._waiting.pop(key, None) is not None:
            self._dropped += 1
        elif len(self._waiting) >= self._queue_events * KEYS_FACTOR:
            self.cut(TOO_MANY_WAIT)
            return
        self._waiting[key] = frame
        self._stall()

    def flush(self) -> None:
        """Send what waits, as long as the member takes it."""
        if self._ready is not None and not self._ready.done() and self.is_ready():
            self._ready.set_result(None)
            self.slow_since = self._watch.now()
        while self._waiting and self.is_ready():
            key = next(iter(self._waiting))
            frame = self._waiting.pop(key)
            self._unkeyed -= isinstance(key, _Unkeyed)
            dropped, self._dropped = self._dropped, 0
            self.slow_since = self._watch.now()
            self.send(frame.telling(dropped) if dropped else frame.payload)
        self._relax()

    async def ready(self) -> None:
        """Wait until the member takes a frame."""
        while not self.is_ready():
            self._stall()
            self._ready = asyncio.get_running_loop().create_future()
            try:
                await self._ready
            finally:
                self._ready = None
        self._relax()

    def finish(self, last: Frame | None) -> None:
        """Send what waits, then `last`, and then tell the member that it is over."""
        if self._is_gone:
            return
        if last is not None:
            self._unkeyed = 0  # there is always room for the last one
            self.deliver(None, last)
        self._is_ending = True
        self._relax()

    def cut(self, reason: str) -> None:
        """End the member's connection."""
        if not self._is_gone:
            self.leave()
            self._member.cut(reason)

    def leave(self) -> None:
        """Forget what waits: nothing is sent any more."""
        self._is_gone = True
        self.is_clear = False
        self._waiting.clear()
        self._watch.discard(self)

    def _stall(self) -> None:
        if self.is_clear:
            self.is_clear = False
            self.slow_since = self._watch.now()
            self._watch.add(self)

    def _relax(self) -> None:
        if self._waiting or self._ready is not None or self._is_gone:
            return
        self._watch.discard(self)
        self.is_clear = True
        if self._is_ending:
            self.leave()
            self._member.complete()


class SlowWatch:
    """Cuts who takes nothing for too long: one timer for all, and none while all keep up."""

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._seats: dict[Seat, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def add(self, seat: Seat) -> None:
        """Watch a seat that has become slow."""
        self._seats[seat] = None
        self._schedule()

    def discard(self, seat: Seat) -> None:
        """Watch it no longer."""
        self._seats.pop(seat, None)
        if not self._seats and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        if self._seats and self._timer is None:
            delay = min(_SWEEP_SECONDS_MAX, self._slow_seconds / 4)
            self._timer = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        latest = self.now() - self._slow_seconds
        for seat in tuple(self._seats):
            seat.flush()
            if not seat.is_clear and seat.slow_since <= latest:
                seat.cut(TOO_SLOW)
        self._schedule()
