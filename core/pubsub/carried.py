"""What every carrier between processes has in common.

Events reach the subscribers of this process directly, so they never wait for the carrier; the
carrier takes them to the other processes, marked with their origin so that they are not
delivered twice. One task holds the link to the carrier: it listens, sends what waits, and after
a loss connects again and tells every subscriber RESYNC.

A message is three lines of text: origin, topic, and the event as JSON.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import ClassVar, Protocol

from core.ids import RandomIds
from core.pubsub.base import E, Resync, Topic
from core.pubsub.fanout import Fanout

_log = logging.getLogger(__name__)

OUTBOX_EVENTS_MAX = 1_000
"""Events that may wait for the carrier; beyond that the other processes are told RESYNC."""

BEAT_SECONDS = 10.0
"""How often an idle link is proved from end to end."""

SILENCE_SECONDS_MAX = 25.0
"""A link on which not even the own beat was heard for so long is lost."""

_RETRY_SECONDS = 0.05
_RETRY_SECONDS_MAX = 2.0
_FLUSH_SECONDS_MAX = 1.0
_RESYNC_TEXT = "!resync\n"  # no topic begins with an exclamation mark
_BEAT_TEXT = "!beat\n"


class Link(Protocol):
    """An open connection to the carrier; both methods raise when it is lost."""

    async def receive(self) -> str:
        """Return the next message of any process, this one's own among them."""
        ...

    async def send(self, messages: Sequence[str]) -> None:
        """Send `messages` to every process, in order."""
        ...


class CarriedPubSub(ABC):
    """A PubSub over a carrier that may be away; the subclass connects to it."""

    carrier: ClassVar[str]
    """What the log calls it."""

    event_bytes_max: ClassVar[int | None] = None
    """Longest topic name and event together, or None for no limit."""

    def __init__(self) -> None:
        self._origin = RandomIds().secret_hex(8)
        self._fanout = Fanout()
        self._outbox: dict[str, None] = {}  # ordered; an equal poke that still waits is enough
        self._waiting = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._attempted = asyncio.Event()
        self._connected = False
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[Link]:
        """Open a link that hears everything sent from now on; raises when that fails."""

    @property
    def connected(self) -> bool:
        """Whether other processes can be heard now."""
        return self._connected

    async def publish(self, topic: Topic[E], event: E) -> None:
        """Deliver `event` here and queue it for the others; raises ValueError if it is too big."""
        text = f"{topic.name}\n{topic.encode(event).decode()}"
        limit = self.event_bytes_max
        if limit is not None and len(text.encode()) > limit:
            raise ValueError(f"an event on {topic.name} is larger than {limit} bytes")
        self._fanout.deliver(topic.name, event)
        if len(self._outbox) >= OUTBOX_EVENTS_MAX:
            self._outbox = {_RESYNC_TEXT: None}
        self._outbox[text] = None
        self._sent.clear()
        self._waiting.set()

    def subscribe(self, topic: Topic[E]) -> AbstractAsyncContextManager[AsyncIterator[E | Resync]]:
        """Listen to `topic` while inside the block."""
        return self._fanout.subscribe(topic)

    async def start(self) -> None:
        """Connect, or keep trying in the background if the first attempt fails."""
        if self._task is None:
            self._attempted.clear()
            self._task = asyncio.create_task(self._run(), name=f"bus on {self.carrier}")
        await self._attempted.wait()

    async def stop(self) -> None:
        """Send what waits if that is quick, release the carrier and end all subscriptions."""
        task, self._task = self._task, None
        if task is not None:
            if self._connected:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_SECONDS_MAX):
                        await self._sent.wait()
            task.cancel()
            await asyncio.wait([task])
        self._fanout.close()

    # The link -----------------------------------------------------------------------------

    async def _run(self) -> None:
        delay, lost = _RETRY_SECONDS, False
        while True:
            _heed_cancellation()
            try:
                async with self._connect() as link:
                    await link.send([self._envelope(_BEAT_TEXT)])  # proves the right to send
                    _heed_cancellation()
                    if lost:
                        _log.warning("the bus on %s is back", self.carrier)
                    delay, lost, self._connected = _RETRY_SECONDS, False, True
                    self._fanout.resync()
                    self._attempted.set()
                    await self._use(link)
            except Exception as error:
                if not lost:
                    _log.warning("the bus on %s is away, trying again: %r", self.carrier, error)
                lost = True
            finally:
                self._connected = False
                self._attempted.set()
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RETRY_SECONDS_MAX)

    async def _use(self, link: Link) -> None:
        """Listen and send until either fails; raises what it failed with."""
        # No TaskGroup: on Python 3.11 it leaves this task marked as cancelled.
        tasks = [asyncio.create_task(self._listen(link)), asyncio.create_task(self._send(link))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _listen(self, link: Link) -> None:
        while True:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                message = await link.receive()
            _heed_cancellation()
            origin, _, text = message.partition("\n")
            if origin == self._origin or text == _BEAT_TEXT:
                continue
            if text == _RESYNC_TEXT:
                self._fanout.resync()
                continue
            name, _, event = text.partition("\n")
            self._fanout.deliver_text(name, event)

    async def _send(self, link: Link) -> None:
        while True:
            _heed_cancellation()
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._waiting.wait()
            except TimeoutError:
                await link.send([self._envelope(_BEAT_TEXT)])
                continue
            self._waiting.clear()
            batch, self._outbox = self._outbox, {}
            try:
                await link.send([self._envelope(text) for text in batch])
            except BaseException:
                # Perhaps sent, perhaps not: a poke twice does no harm, one lost costs time.
                self._outbox = batch | self._outbox
                self._waiting.set()
                raise
            if not self._outbox:
                self._sent.set()

    def _envelope(self, text: str) -> str:
        return f"{self._origin}\n{text}"


def _heed_cancellation() -> None:
    """Raise if this task was cancelled: redis-py loses a cancellation that meets its answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
