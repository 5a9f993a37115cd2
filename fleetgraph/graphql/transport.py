"""uvicorn's WebSocket protocol, handed to the application as a wire.

Messages leave as bytes on the transport (docs/adr/0010): no task is woken and nothing is encoded
per message. That is correct because whole messages are written, in one frame each, uvicorn writes
no fragments either, and no extension that changes frames is negotiated.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from fleetgraph.graphql.codes import CloseCode, fitting
from fleetgraph.graphql.frames import PING
from fleetgraph.graphql.wires import EXTENSION

SEND_BUFFER_BYTES: Final = 128 * 1024
"""The kernel's share per socket: it would take 3 MB before we learned that a client is slow."""

CLOSE_SECONDS: Final = 3.0
"""How long a client may take to read what waits and to answer the close frame."""

WAKE_SECONDS: Final = 30.0
"""The same for one that was too slow: it may be asleep, and should learn why once it wakes."""

STOP_SECONDS: Final = 0.5
"""The same when the server stops."""


class WireProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. The names without underscore that are not uvicorn's make up a `Wire`."""

    is_full = False
    heard_at = 0.0
    on_room: Callable[[], None] | None = None
    _is_failing = False

    # Wire ------------------------------------------------------------------------------------

    def limit(self, unsent_bytes_max: int) -> None:
        """Call the wire full once more bytes than that wait unsent."""
        self.transport.set_write_buffer_limits(high=unsent_bytes_max)

    def write(self, frame: bytes) -> None:
        """Send a complete frame; nothing happens once the connection is closing."""
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(frame)

    def unsent_bytes(self) -> int:
        """Return how many bytes wait in this process."""
        return self.transport.get_write_buffer_size()

    async def room(self) -> None:
        """Return once the wire is not full, or its connection is lost."""
        await self.writable.wait()

    def ping(self) -> None:
        """Send a ping frame."""
        self.write(PING)

    def close(self, code: int, reason: str, *, seconds: float | None = None) -> None:
        """Send a close frame after what waits; whoever takes neither is cut after `seconds`."""
        if seconds is None:
            seconds = WAKE_SECONDS if code == CloseCode.TOO_SLOW else CLOSE_SECONDS
        if self.close_sent or self.transport.is_closing() or self.conn.state is not State.OPEN:
            return
        self.conn.send_close(code, fitting(reason))
        self._leave(code, reason, seconds)

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abort()

    # uvicorn ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cap the kernel's buffer, and let it send at once."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if peer.family in {socket.AF_INET, socket.AF_INET6}:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard_at = self.loop.time()

    def handle_connect(self, event: Request) -> None:
        """Hand the wire to the application."""
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Note that the client lives; after a broken frame, throw away what still comes."""
        self.heard_at = self.loop.time()
        if not self._is_failing:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Close after a frame that breaks the protocol, such as one that is too big.

        The transport is not closed at once: with bytes unread, the kernel would reset the
        connection, and the client would never see why.
        """
        assert self.conn.close_sent is not None
        self._is_failing = True
        self._leave(self.conn.close_sent.code, self.conn.close_sent.reason, CLOSE_SECONDS)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def pause_writing(self) -> None:
        """Be full."""
        super().pause_writing()
        self.is_full = True

    def resume_writing(self) -> None:
        """Have room again."""
        super().resume_writing()
        self.is_full = False
        if self.on_room is not None:
            self.on_room()

    def shutdown(self) -> None:
        """Close because the server stops."""
        if self.handshake_complete and not self.close_sent:
            self.close(CloseCode.GOING_AWAY, "The server is stopping", seconds=STOP_SECONDS)
        else:
            super().shutdown()

    def _leave(self, code: int, reason: str, seconds: float) -> None:
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:  # the client's answer has to be read
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(seconds, self.transport.abort)
