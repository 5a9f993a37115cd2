"""Bytes from strangers: what they are packed in, and the object inside. Growth is capped."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import msgspec
import zstandard

from core.errors import InvalidInput
from core.inflating import Broken, TooLarge, ZlibStream

INFLATED_BYTES_MAX: Final = 16 * 1024 * 1024
LAYERS_MAX: Final = 2

NESTING_MAX: Final = 200  # orjson writes 254 levels; the answer may wrap what came in

_HEADS: Final = {
    "zlib": (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"),
    "gzip": (b"\x1f\x8b",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
}
_KINDS: Final = {heads[0][:1]: kind for kind, heads in _HEADS.items()}
_WINDOW_BYTES_MAX: Final = 2**27
_ZSTD_SLICE_BYTES: Final = 64
_SPACE: Final = b" \t\r\n"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)

_json = msgspec.json.Decoder()
_msgpack = msgspec.msgpack.Decoder()


class Undecodable(Exception):
    """A payload that cannot be read; `reason` says why, in words for the dead-letter table."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def unpack(payload: bytes, *, limit_bytes: int = INFLATED_BYTES_MAX) -> bytes:
    """Return the payload without its compression, told by its first bytes.

    zlib, gzip and zstd are known, at most two of them around each other. Raises Undecodable
    when the result would be larger than the limit, or when a stream is broken or cut off.
    """
    if len(payload) > limit_bytes:
        raise Undecodable(f"is more than {limit_bytes} bytes")
    for _ in range(LAYERS_MAX):
        kind = _sniff(payload)
        if not kind:
            return payload
        try:
            payload = _inflate(payload, kind, limit_bytes)
        except TooLarge:
            raise Undecodable(f"inflates to more than {limit_bytes} bytes") from None
        except Broken as broken:
            raise Undecodable(f"not a whole {kind} stream: {broken}") from None
    if _sniff(payload):
        raise Undecodable(f"compressed more than {LAYERS_MAX} times")
    return payload


def is_json(payload: bytes) -> bool:
    """Tell whether a payload is JSON: its first visible byte opens an object or an array."""
    return payload[:1] == b"{" or payload.lstrip(_SPACE)[:1] in {b"{", b"["}


def decode_object(payload: bytes) -> object:
    """Return the JSON or MessagePack object of an unpacked payload.

    Raises Undecodable for broken or empty payloads and for anything after the object. JSON
    numbers beyond float64 come as Decimal.
    """
    if not payload.strip(_SPACE):
        raise Undecodable("empty")
    if is_json(payload):
        return _decode_json(payload)
    if not _opens_container(payload[0]):
        raise Undecodable("neither JSON nor MessagePack")
    try:
        return _msgpack.decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise Undecodable(f"not MessagePack: {error}") from None
    except RecursionError:
        raise Undecodable("nested too deeply") from None


def mend_surrogates(text: bytes) -> bytes:
    """Return JSON with the replacement character for each half of one.

    JavaScript writes halves when it cuts a text within an emoji. An agent that does must not be
    refused, or it goes silent.
    """
    return _LONE_SURROGATE.sub(rb"\\ufffd", text)


def storable(value: object) -> Any:
    """Return a decoded object as what any JSON column can hold.

    Zero characters go, NaN, infinities and other things that JSON lacks become null, keys
    become texts. Raises Undecodable when it is nested too deeply.
    """
    try:
        return _storable(value)
    except RecursionError:
        raise Undecodable("nested too deeply") from None


def _storable(value: object) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "") if "\0" in value else value
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(_storable(key)): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else None


def _decode_json(payload: bytes) -> object:
    try:
        return _json.decode(payload)
    except msgspec.ValidationError as error:
        # One number beyond float64 must not cost its neighbours their lives.
        if "out of range" not in str(error) or _SURROGATE.search(payload):
            raise Undecodable(f"not JSON: {error}") from None
        return _decode_json_with_huge_numbers(payload)
    except (msgspec.DecodeError, ValueError) as error:
        mended = mend_surrogates(payload)
        if mended == payload:
            raise Undecodable(f"not JSON: {error}") from None
        return _decode_json(mended)
    except RecursionError:
        raise Undecodable("nested too deeply") from None


def _decode_json_with_huge_numbers(payload: bytes) -> object:
    try:
        return json.loads(payload, parse_float=_float_or_decimal, parse_constant=_refuse)
    except ValueError as error:
        raise Undecodable(f"not JSON: {error}") from None
    except RecursionError:
        raise Undecodable("nested too deeply") from None


def _float_or_decimal(text: str) -> float | Decimal:
    number = float(text)
    return number if abs(number) != float("inf") else Decimal(text)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON number")


def _opens_container(first: int) -> bool:
    """MessagePack's small maps and arrays, then array 16, array 32, map 16, map 32."""
    return 0x80 <= first <= 0x9F or 0xDC <= first <= 0xDF


def _sniff(payload: bytes) -> str:
    kind = _KINDS.get(payload[:1], "")
    return kind if kind and payload.startswith(_HEADS[kind]) else ""


def _inflate(packed: bytes, kind: str, limit_bytes: int) -> bytes:
    if kind == "zstd":
        return _inflate_zstd(packed, limit_bytes)
    stream = ZlibStream()
    parts = stream.feed(packed, limit_bytes)
    stream.finish()
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflate_zstd(packed: bytes, limit_bytes: int) -> bytes:
    try:
        # A frame that states its size is inflated to that size whatever the limit says.
        stated = zstandard.frame_content_size(packed)
        if stated > limit_bytes:
            raise TooLarge
        stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        if stated > 0:
            return stream.decompress(packed, allow_extra_data=False)
        return _inflate_zstd_stream(packed, stream, limit_bytes)
    except zstandard.ZstdError as error:
        raise Broken(str(error)) from None


def _inflate_zstd_stream(
    packed: bytes, opener: zstandard.ZstdDecompressor, limit_bytes: int
) -> bytes:
    """Inflate a frame of unknown size by slices: 64 bytes can make 2 MiB at most."""
    stream = opener.decompressobj()
    parts: list[bytes] = []
    room = limit_bytes
    for start in range(0, len(packed), _ZSTD_SLICE_BYTES):
        if stream.eof:
            raise Broken("something follows it")
        part = stream.decompress(packed[start : start + _ZSTD_SLICE_BYTES])
        room -= len(part)
        if room < 0:
            raise TooLarge
        parts.append(part)
    if not stream.eof:
        raise Broken("cut off")
    if stream.unused_data:
        raise Broken("something follows it")
    return b"".join(parts)


def refuse_nesting(body: bytes, parsed: Any) -> None:
    """Raise InvalidInput when a body's JSON, of bytes and as parsed, has over NESTING_MAX levels."""
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return
    level = [parsed]
    for _ in range(NESTING_MAX):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
        if not deeper:
            return
        level = deeper
    raise InvalidInput("body", f"is nested more than {NESTING_MAX} levels")
