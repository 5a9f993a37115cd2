"""What carries frames to a client: the transport itself, or ASGI's `send`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope, Send

from fleetgraph.graphql.codes import fitting
from fleetgraph.graphql.frames import message_frame, text_of

EXTENSION = "fleetgraph.wire"
"""The name under which a server hands its wire to the application, in the scope's extensions."""


class Wire(Protocol):
    """One connection, for writing.

    Attributes:
        is_full: more bytes wait unsent than is reasonable.
        heard_at: when the client last sent anything, in the loop's time.
        on_room: called when the wire is no longer full.
    """

    is_full: bool
    heard_at: float
    on_room: Callable[[], None] | None

    def limit(self, unsent_bytes_max: int) -> None:
        """Call the wire full once more bytes than that wait unsent."""
        ...

    def write(self, frame: bytes) -> None:
        """Send a complete frame; nothing happens once the connection is closing."""
        ...

    def unsent_bytes(self) -> int:
        """Return how many bytes wait in this process."""
        ...

    async def room(self) -> None:
        """Return once the wire is not full, or its connection is lost."""
        ...

    def ping(self) -> None:
        """Make the client say something."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits; whoever takes neither is cut soon."""
        ...

    def abort(self) -> None:
        """End the connection now."""
        ...


def wire_of(scope: Scope, send: Send) -> Wire:
    """Return the server's own wire, else one over `send`."""
    given: Wire | None = scope.get("extensions", {}).get(EXTENSION)
    return given or AsgiWire(send)


class AsgiWire:
    """Frames through ASGI, for servers that hand out no wire; one task while there is work."""

    def __init__(self, send: Send) -> None:
        self.is_full = False
        self.heard_at = asyncio.get_running_loop().time()
        self.on_room: Callable[[], None] | None = None
        self._send = send
        self._unsent_bytes_max = 1 << 16
        self._unsent_bytes = 0
        self._frames: deque[bytes] = deque()
        self._closing: tuple[int, str] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    def limit(self, unsent_bytes_max: int) -> None:
        """Call the wire full once more bytes than that wait unsent."""
        self._unsent_bytes_max = unsent_bytes_max

    def write(self, frame: bytes) -> None:
        """Send a frame in its turn."""
        if self._closing is not None:
            return
        self._frames.append(frame)
        self._unsent_bytes += len(frame)
        if self._unsent_bytes > self._unsent_bytes_max:
            self.is_full = True
            self._has_room.clear()
        self._work()

    def unsent_bytes(self) -> int:
        """Return how many bytes `send` has not taken."""
        return self._unsent_bytes

    async def room(self) -> None:
        """Return once the wire is not full."""
        await self._has_room.wait()

    def ping(self) -> None:
        """Send the protocol's own ping: ASGI knows none of WebSocket's."""
        self.write(message_frame("ping"))

    def close(self, code: int, reason: str) -> None:
        """Close after what waits."""
        if self._closing is None:
            self._closing = (code, fitting(reason))
            self._work()

    def abort(self) -> None:
        """Drop what waits and close."""
        self._frames.clear()
        self.close(1006, "")

    def _work(self) -> None:
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="socket writer")

    async def _write(self) -> None:
        try:
            with contextlib.suppress(OSError):  # the client has gone; `receive` says so as well
                while self._frames:
                    frame = self._frames.popleft()
                    await self._send({"type": "websocket.send", "text": text_of(frame)})
                    self._unsent_bytes -= len(frame)
                    self._tell_room()
                if self._closing is not None:
                    code, reason = self._closing
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            self._writer = None

    def _tell_room(self) -> None:
        if self.is_full and self._unsent_bytes <= self._unsent_bytes_max // 4:
            self.is_full = False
            self._has_room.set()
            if self.on_room is not None:
                self.on_room()
