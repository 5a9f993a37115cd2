"""HTTP bodies as they come in: their content encoding is taken off piece by piece.

What a body grows to is counted as it grows. Nothing larger than the limit is ever held, however
much a few bytes would inflate to.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import zstandard

from core.errors import InvalidInput, PayloadTooLarge

ENCODINGS: Final = ("gzip", "deflate", "zstd", "identity")

_AUTO: Final = zlib.MAX_WBITS | 32  # zlib or gzip, told by the header
_RAW: Final = -zlib.MAX_WBITS
_GZIP: Final = b"\x1f\x8b"
_TEXT: Final = b"{[ \t\r\n"
_HEAD_BYTES: Final = 2
_WINDOW_BYTES_MAX: Final = 2**24
_STEP_BYTES: Final = 2**20
_ZSTD_SLICE_BYTES: Final = 64


class TooLarge(Exception):
    """Inflation would pass the limit."""


class Broken(Exception):
    """Not a whole stream of the expected kind."""


class _Stream(Protocol):
    def feed(self, packed: bytes, room: int) -> list[bytes]:
        """Return what `packed` adds; raises TooLarge beyond `room` bytes, Broken."""
        ...

    def finish(self) -> None:
        """Raise Broken if the stream is not whole."""
        ...


class Inflater:
    """Takes one body. Call `feed` with each piece of it, then `finish`."""

    def __init__(self, content_encoding: str | None, limit_bytes: int) -> None:
        self._kind = _kind_of(content_encoding)
        self._limit_bytes = limit_bytes
        self._room = limit_bytes
        self._head = b""
        self._stream: _Stream | None = None
        self._parts: list[bytes] = []

    def feed(self, packed: bytes) -> None:
        """Take the next piece. Raises PayloadTooLarge, and InvalidInput for a broken stream."""
        if self._stream is None:
            self._head += packed
            if len(self._head) < _HEAD_BYTES:
                return
            packed, self._head = self._head, b""
            self._kind, self._stream = _opened(self._kind, packed)
        self._take(self._stream, packed)

    def finish(self) -> bytes:
        """Return the whole body. Raises as `feed` does."""
        if self._stream is None:
            self._kind, self._stream = _opened(self._kind, self._head)
            self._take(self._stream, self._head)
        try:
            self._stream.finish()
        except Broken as broken:
            raise self._refusal(broken) from None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _take(self, stream: _Stream, packed: bytes) -> None:
        try:
            for part in stream.feed(packed, self._room):
                self._room -= len(part)
                self._parts.append(part)
        except TooLarge:
            what = "Inflated body" if self._kind else "Body"
            raise PayloadTooLarge(what, limit_bytes=self._limit_bytes) from None
        except Broken as broken:
            raise self._refusal(broken) from None

    def _refusal(self, broken: Broken) -> InvalidInput:
        return InvalidInput("body", f"not a whole {self._kind} stream: {broken}")


def inflate(body: bytes, content_encoding: str | None, limit_bytes: int) -> bytes:
    """Return an HTTP body without its content encoding: gzip, deflate, zstd or identity.

    Raises PayloadTooLarge beyond the limit, InvalidInput for another encoding or a broken body.
    """
    inflater = Inflater(content_encoding, limit_bytes)
    inflater.feed(body)
    return inflater.finish()


def _kind_of(content_encoding: str | None) -> str:
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    kinds = [name.removeprefix("x-") for name in names if name not in {"", "identity"}]
    if len(kinds) > 1:
        raise InvalidInput("Content-Encoding", "more than one encoding is not supported")
    if kinds and kinds[0] not in ENCODINGS:
        reason = f"{kinds[0][:40]!r} is not supported; send one of {', '.join(ENCODINGS)}"
        raise InvalidInput("Content-Encoding", reason, accepted=list(ENCODINGS))
    return kinds[0] if kinds else ""


def _opened(kind: str, head: bytes) -> tuple[str, _Stream]:
    """Return what a body is packed in, told by header and first bytes, and the stream for it."""
    if not kind and head.startswith(_GZIP):
        kind = "gzip"  # a proxy took the header away: no text begins like this
    if kind == "deflate" and head[:1] and head[:1] in _TEXT:
        kind = ""  # some clients state it and do not pack; no packed JSON begins like JSON
    if kind == "zstd":
        return kind, _Zstd()
    if kind == "deflate":  # the name means zlib, but some clients send it without the header
        has_header = head[:1] == b"x" and int.from_bytes(head[:2], "big") % 31 == 0
        return kind, ZlibStream() if has_header else ZlibStream(_RAW)
    return kind, ZlibStream() if kind else _Plain()


class _Plain:
    def feed(self, packed: bytes, room: int) -> list[bytes]:
        if len(packed) > room:
            raise TooLarge
        return [packed]

    def finish(self) -> None:
        """Nothing can be missing."""


class ZlibStream:
    """zlib, gzip or raw deflate; gzip may be several members one after the other."""

    def __init__(self, wbits: int = _AUTO) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)
        self._is_gzip: bool | None = None

    def feed(self, packed: bytes, room: int) -> list[bytes]:
        """Return what `packed` adds; raises TooLarge beyond `room` bytes, Broken."""
        if self._is_gzip is None and packed:
            self._is_gzip = packed.startswith(_GZIP)
        parts = []
        is_full = False
        while packed or is_full:
            if self._stream.eof:
                if not self._is_gzip:
                    raise Broken("something follows it")
                self._stream = zlib.decompressobj(self._wbits)
            step = min(room + 1, _STEP_BYTES)
            try:
                part = self._stream.decompress(packed, step)
            except zlib.error as error:
                raise Broken(str(error)) from None
            room -= len(part)
            if room < 0:
                raise TooLarge
            parts.append(part)
            is_full = len(part) == step and not self._stream.eof  # more may wait in the stream
            packed = self._stream.unused_data or self._stream.unconsumed_tail
        return parts

    def finish(self) -> None:
        """Raise Broken if the stream is not whole."""
        if self._is_gzip is None:
            raise Broken("empty")
        if not self._stream.eof:
            raise Broken("cut off")


class _Zstd:
    """One frame, inflated by slices: 64 bytes can make 2 MiB at most."""

    def __init__(self) -> None:
        opener = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        self._stream = opener.decompressobj()
        self._is_empty = True

    def feed(self, packed: bytes, room: int) -> list[bytes]:
        parts = []
        for start in range(0, len(packed), _ZSTD_SLICE_BYTES):
            self._is_empty = False
            if self._stream.eof:
                raise Broken("something follows it")
            try:
                part = self._stream.decompress(packed[start : start + _ZSTD_SLICE_BYTES])
            except zstandard.ZstdError as error:
                raise Broken(str(error)) from None
            room -= len(part)
            if room < 0:
                raise TooLarge
            if part:
                parts.append(part)
        return parts

    def finish(self) -> None:
        if self._is_empty:
            raise Broken("empty")
        if not self._stream.eof:
            raise Broken("cut off")
        if self._stream.unused_data:
            raise Broken("something follows it")
