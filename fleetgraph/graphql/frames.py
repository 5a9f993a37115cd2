"""Frames of graphql-transport-ws as bytes, ready for the transport.

A payload is encoded once for all who get it; what differs between them, the id, is a prefix that
each subscription makes once.
"""

from __future__ import annotations

import orjson

PING = b"\x89\x00"
"""A ping frame of the WebSocket protocol: every client answers it by itself."""

_TEXT = 0x81  # a whole message in one frame
_LENGTH_IN_2_BYTES = 126
_LENGTH_IN_8_BYTES = 127


def text_frame(*parts: bytes) -> bytes:
    """Return the unmasked frame of a text message whose UTF-8 is given in parts."""
    return b"".join((_head(sum(map(len, parts))), *parts))


def next_prefix(id_: str) -> bytes:
    """Return the beginning of each `next` message of one operation."""
    return b'{"id":%b,"type":"next","payload":' % orjson.dumps(id_)


def next_frame(prefix: bytes, payload: bytes) -> bytes:
    """Return the frame of a `next` message; `payload` is JSON."""
    length = len(prefix) + len(payload) + 1
    return b"".join((_head(length), prefix, payload, b"}"))


def message_frame(type_: str, **members: object) -> bytes:
    """Return the frame of any other message."""
    return text_frame(orjson.dumps({"type": type_, **members}))


def text_of(frame: bytes) -> str:
    """Return the message in a frame made here, for a server that frames by itself."""
    length = frame[1]
    start = 10 if length == _LENGTH_IN_8_BYTES else 4 if length == _LENGTH_IN_2_BYTES else 2
    return frame[start:].decode()


def _head(length: int) -> bytes:
    if length < _LENGTH_IN_2_BYTES:
        return bytes((_TEXT, length))
    if length < 1 << 16:
        return bytes((_TEXT, _LENGTH_IN_2_BYTES)) + length.to_bytes(2)
    return bytes((_TEXT, _LENGTH_IN_8_BYTES)) + length.to_bytes(8)
