"""uvicorn's HTTP protocol, with a way for a stream to be cut, and an end to every head."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleetgraph.graphql.streams import TRANSPORT

HEAD_BYTES_MAX: Final = 64 * 1024
"""How much may come without an end of headers or a piece of a body: uvicorn would keep all of it."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class CuttableProtocol(HttpToolsProtocol):
    """One HTTP connection whose transport the application gets to see."""

    _unfinished_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read, unless a head, or what follows the last chunk of a body, has no end."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        self._unfinished_bytes = 0
        super().on_headers_complete()

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
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]
