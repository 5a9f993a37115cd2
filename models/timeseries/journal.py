"""Journal bodies: the readings of one batch and agent as compressed columns, versioned."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from models.timeseries.copy import Rows, to_python

_HEADER = struct.Struct("<BBII")  # version, compressed, readings, bytes of texts
_VERSION = 1
_COMPRESS_FROM_BYTES = 512
_BYTES_PER_READING = 4 + 8 + 8 + 1 + 1

_compressor = zstandard.ZstdCompressor(level=1)


@dataclass(slots=True)
class JournalColumns:
    """What one journal row holds, sorted by series and time."""

    series_ids: NDArray[np.int32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    kinds: NDArray[np.int8]
    qualities: NDArray[np.int8]
    texts: dict[int, str]

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Yield (series id, its readings), one part per series."""
        edges = np.flatnonzero(np.diff(self.series_ids)) + 1
        starts = [0, *edges.tolist(), len(self.series_ids)]
        for start, end in pairwise(starts):
            yield int(self.series_ids[start]), slice(start, end)

    def python_values(self, part: slice) -> list[float | bool | str | None]:
        """Return the values of one part as they were sent."""
        texts = {
            at - part.start: text for at, text in self.texts.items() if part.start <= at < part.stop
        }
        return to_python(self.values[part], self.kinds[part], texts)


def encode_body(rows: Rows) -> bytes:
    """Return one agent's readings as a journal body, sorted by series and time."""
    order = np.lexsort((rows.times_us, rows.series_ids))
    rows = rows.take(order)
    texts = msgspec.msgpack.encode(rows.texts) if rows.texts else b""
    columns = b"".join(
        (
            rows.series_ids.astype("<i4").tobytes(),
            rows.times_us.astype("<i8").tobytes(),
            rows.values.astype("<f8").tobytes(),
            rows.kinds.tobytes(),
            rows.qualities.tobytes(),
            texts,
        )
    )
    compressed = len(columns) >= _COMPRESS_FROM_BYTES
    if compressed:
        columns = _compressor.compress(columns)
    return _HEADER.pack(_VERSION, compressed, len(rows), len(texts)) + columns


def decode_body(body: bytes) -> JournalColumns:
    """Return the columns in a journal body; raises ValueError for a version it does not know."""
    version, compressed, count, text_bytes = _HEADER.unpack_from(body)
    if version != _VERSION:
        raise ValueError(f"journal body of version {version}, this program reads {_VERSION}")
    columns = body[_HEADER.size :]
    if compressed:
        size = count * _BYTES_PER_READING + text_bytes
        columns = zstandard.ZstdDecompressor().decompress(columns, max_output_size=size)
    at = 0

    def column(dtype: str, width: int) -> NDArray[np.generic]:
        nonlocal at
        array = np.frombuffer(columns, dtype=dtype, count=count, offset=at)
        at += count * width
        return array

    series_ids = column("<i4", 4).astype(np.int32)
    times_us = column("<i8", 8).astype(np.int64)
    values = column("<f8", 8).astype(np.float64)
    kinds = column("i1", 1).astype(np.int8)
    qualities = column("i1", 1).astype(np.int8)
    texts: dict[int, str] = {}
    if text_bytes:
        texts = msgspec.msgpack.decode(columns[at : at + text_bytes], type=dict[int, str])
    return JournalColumns(series_ids, times_us, values, kinds, qualities, texts)
