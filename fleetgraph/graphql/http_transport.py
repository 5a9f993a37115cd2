"""uvicorn's HTTP protocol, with a way for a stream to be cut, and an end to every request."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleetgraph.graphql.wheel import Wheel
from rest_compat.streams import TRANSPORT

HEAD_BYTES_MAX: Final = 64 * 1024
"""How much may come without an end of headers or a piece of a body: uvicorn would keep all of it."""

PATIENCE_SECONDS = 30.0
"""How long a client may take for a whole head, and between two pieces of a body."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_TOO_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class CuttableProtocol(HttpToolsProtocol):
    """One HTTP connection whose transport the application gets to see.

    `wheel` is shared by all connections of a server. `slot` is the wheel's.
    """

    slot: int | None = None
    _unfinished_bytes = 0
    _has_begun = False
    _is_in_body = False

    def __init__(self, *args: Any, wheel: Wheel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wheel = wheel

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wheel.remove(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to its next protocol."""
        self._wheel.remove(self)
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read, unless a head, or what follows the last chunk of a body, has no end."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unfinished_bytes > HEAD_BYTES_MAX:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._is_in_body:
            self._wait()
        elif self._is_our_turn():
            self._wheel.remove(self)
        elif self.slot is None and self.transport.get_protocol() is self:
            self._wait()  # a head has begun, which took away uvicorn's timer of idle connections

    def on_due(self) -> None:
        """End the connection of a client that does not go on with its request."""
        if self.transport.is_closing():
            return
        if self.flow.read_paused or (self._is_in_body and self.cycle.waiting_for_100_continue):
            self._wait()  # it is we who do not read
            return
        is_answered = self._is_in_body and self.cycle.response_started
        if self._has_begun and not is_answered:
            self.transport.write(_TOO_LATE)
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        self._unfinished_bytes = 0
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._is_in_body = False
        super().on_message_complete()

    def on_chunk_header(self) -> None:
        """Note the beginning of a chunk."""
        self._unfinished_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Note a piece of a body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Put the transport into the request's scope."""
        super().on_message_begin()
        self._has_begun = True
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]

    def _is_our_turn(self) -> bool:
        cycle: Any = self.cycle  # None at first, whatever uvicorn's annotation says
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._wheel.put(self, self.loop.time() + PATIENCE_SECONDS)
