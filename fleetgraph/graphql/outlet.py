"""The writing end of one stream: a member of its subscription that never holds up the others."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

END_SECONDS: Final = 0.5
"""How long a client may take to read the end of its stream."""


class Framing(Protocol):
    """How answers are told apart within one HTTP answer."""

    @property
    def content_type(self) -> bytes:
        """The answer's Content-Type."""
        ...

    @property
    def opening(self) -> bytes:
        """What comes before the first answer."""
        ...

    @property
    def heartbeat(self) -> bytes:
        """What says nothing and keeps the connection open."""
        ...

    @property
    def closing(self) -> bytes:
        """What says that the subscription ended by itself."""
        ...

    def item(self, payload: bytes) -> bytes:
        """Return one answer, framed."""
        ...

    def failure(self, payload: bytes) -> bytes:
        """Return the end of a stream that must not go on."""
        ...

    def interruption(self, payload: bytes) -> bytes:
        """Return the end of a stream that may be taken up again."""
        ...


class Outlet:
    """What waits to be written to one client; see schema/execution/seats.py for a Member."""

    def __init__(self, framing: Framing, *, unsent_bytes_max: int) -> None:
        self._framing = framing
        self._unsent_bytes_max = unsent_bytes_max
        self._unsent_bytes = len(framing.opening)
        self._waiting = [framing.opening]
        self._is_ending = False
        self._wake = asyncio.Event()
        self._wake.set()
        self._patience: asyncio.TimerHandle | None = None
        self.is_cut = asyncio.Event()

    # A member ------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether little waits unsent; after the end there is nothing left to wait for."""
        return self._is_ending or self._unsent_bytes < self._unsent_bytes_max

    def send(self, payload: bytes) -> None:
        """Send one answer; after the end it goes nowhere."""
        if not self._is_ending:
            self._append(self._framing.item(payload))

    def cut(self, reason: str) -> None:
        """End the connection: its client does not read, so it cannot be told why."""
        self.is_cut.set()

    def complete(self) -> None:
        """The subscription ended by itself."""
        self._end(self._framing.closing)

    # The endpoint --------------------------------------------------------------------------

    def fail(self, payload: bytes) -> None:
        """End the stream with an answer that has only errors."""
        self._end(self._framing.failure(payload))

    def interrupt(self, payload: bytes) -> None:
        """End the stream, since the server does."""
        self._end(self._framing.interruption(payload))

    async def next_chunk(self, heartbeat_seconds: float) -> tuple[bytes, bool]:
        """Return what is to be written, a heartbeat after silence, and whether more comes."""
        try:
            async with asyncio.timeout(heartbeat_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._append(self._framing.heartbeat)
        self._wake.clear()
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        return chunk, not self._is_ending

    def written(self, chunk: bytes) -> None:
        """Note that a chunk has left."""
        self._unsent_bytes -= len(chunk)

    def close(self) -> None:
        """Forget the rest."""
        self._is_ending = True
        if self._patience is not None:
            self._patience.cancel()

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._unsent_bytes += len(data)
        self._wake.set()

    def _end(self, last: bytes) -> None:
        if not self._is_ending:
            self._append(last)
            self._is_ending = True
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(END_SECONDS, self.is_cut.set)
