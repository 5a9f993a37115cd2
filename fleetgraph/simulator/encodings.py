"""The bytes of a telemetry message. Nothing on the wire says which encoding was used."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
import zstandard

from core.errors import InvalidInput
from fleetgraph.simulator.wire import to_json


class Encoding(StrEnum):
    """Everything a consumer must be able to tell apart by the first bytes."""

    JSON = "json"
    MSGPACK = "msgpack"
    ZLIB_JSON = "zlib+json"
    ZLIB_MSGPACK = "zlib+msgpack"
    GZIP_JSON = "gzip+json"
    GZIP_MSGPACK = "gzip+msgpack"
    ZSTD_JSON = "zstd+json"
    ZSTD_MSGPACK = "zstd+msgpack"


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
_PLAIN_EVERY = 1000  # an agent sends plain JSON now and then, to know what it saves


def encode(document: dict[str, Any], encoding: Encoding) -> bytes:
    """Return a message as bytes."""
    compression, _, inner = encoding.rpartition("+")
    data = msgspec.msgpack.encode(document) if inner == "msgpack" else to_json(document)
    return _COMPRESS[compression](data) if compression else data


def encoding_for(encoding: Encoding, published: int) -> Encoding:
    """Return what an agent uses after `published` messages: the first is always plain JSON."""
    return Encoding.JSON if published % _PLAIN_EVERY == 0 else encoding


def parse_encodings(text: str) -> list[Encoding]:
    """Read `mixed` (all) or a list such as `json,zlib+msgpack`. Raises InvalidInput."""
    if text == "mixed":
        return list(Encoding)
    try:
        return [Encoding(name.strip()) for name in text.split(",")]
    except ValueError:
        expected = ", ".join(["mixed", *Encoding])
        raise InvalidInput("encodings", f"{text!r} is no list of: {expected}") from None
