"""Columns to PostgreSQL's binary COPY format and back, with NumPy instead of a loop."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.readings import Kind

PG_EPOCH_US = 946_684_800_000_000
"""Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
_TRAILER = b"\xff\xff"

COLUMNS = ("tenant_id", "agent_id", "series_id", "quality", "kind", "ts", "value")

_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("l1", ">i4"),
        ("tenant_id", ">i4"),
        ("l2", ">i4"),
        ("agent_id", ">i4"),
        ("l3", ">i4"),
        ("series_id", ">i4"),
        ("l4", ">i4"),
        ("quality", ">i2"),
        ("l5", ">i4"),
        ("kind", ">i2"),
        ("l6", ">i4"),
        ("ts", ">i8"),
        ("l7", ">i4"),
        ("value", ">f8"),
    ]
)


@dataclass(slots=True)
class Rows:
    """Readings ready to be stored: parallel columns over any number of agents.

    Texts of kind TEXT stand in `texts` by row; their `value` is NaN.
    """

    tenant_ids: NDArray[np.int32]
    agent_ids: NDArray[np.int32]
    series_ids: NDArray[np.int32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    kinds: NDArray[np.int8]
    qualities: NDArray[np.int8]
    texts: dict[int, str]

    def __len__(self) -> int:
        return len(self.times_us)

    def take(self, index: NDArray[np.intp]) -> Rows:
        """Return the rows at `index`, in that order."""
        texts: dict[int, str] = {}
        if self.texts:
            texts = {
                new: self.texts[old] for new, old in enumerate(index.tolist()) if old in self.texts
            }
        return Rows(
            self.tenant_ids[index],
            self.agent_ids[index],
            self.series_ids[index],
            self.times_us[index],
            self.values[index],
            self.kinds[index],
            self.qualities[index],
            texts,
        )

    def first_of_each(self) -> Rows:
        """Drop rows whose (series, time) came before in this batch: the first one wins."""
        order = np.lexsort((self.times_us, self.series_ids))
        series, times = self.series_ids[order], self.times_us[order]
        repeated = np.zeros(len(order), dtype=bool)
        repeated[1:] = (series[1:] == series[:-1]) & (times[1:] == times[:-1])
        if not repeated.any():
            return self
        # lexsort is stable, so the first of each run is the first that arrived.
        return self.take(np.sort(order[~repeated]))


def encode(rows: Rows) -> io.BytesIO:
    """Return `rows` as a binary COPY stream for COLUMNS."""
    out = np.empty(len(rows), dtype=_ROW)
    out["fields"] = 7
    out["l1"] = out["l2"] = out["l3"] = 4
    out["l4"] = out["l5"] = 2
    out["l6"] = out["l7"] = 8
    out["tenant_id"] = rows.tenant_ids
    out["agent_id"] = rows.agent_ids
    out["series_id"] = rows.series_ids
    out["quality"] = rows.qualities
    out["kind"] = rows.kinds
    out["ts"] = rows.times_us - PG_EPOCH_US
    out["value"] = rows.values
    return io.BytesIO(_SIGNATURE + out.tobytes() + _TRAILER)


_READ = np.dtype(
    [
        ("fields", ">i2"),
        ("l1", ">i4"),
        ("series_id", ">i4"),
        ("l2", ">i4"),
        ("ts", ">i8"),
        ("l3", ">i4"),
        ("value", ">f8"),
        ("l4", ">i4"),
        ("kind", ">i2"),
        ("l5", ">i4"),
        ("quality", ">i2"),
    ]
)
_KEY = np.dtype(
    [("fields", ">i2"), ("l1", ">i4"), ("series_id", ">i4"), ("l2", ">i4"), ("ts", ">i8")]
)


@dataclass(slots=True)
class ReadColumns:
    """What a query over readings returned, in the order of the query."""

    series_ids: NDArray[np.int32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    kinds: NDArray[np.int8]
    qualities: NDArray[np.int8]


def decode(body: bytes) -> ReadColumns:
    """Return the columns of a COPY of (series_id, ts, value, kind, quality)."""
    rows = np.frombuffer(_inner(body), dtype=_READ)
    return ReadColumns(
        rows["series_id"].astype(np.int32),
        rows["ts"].astype(np.int64) + PG_EPOCH_US,
        rows["value"].astype(np.float64),
        rows["kind"].astype(np.int8),
        rows["quality"].astype(np.int8),
    )


def decode_keys(body: bytes) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return (series ids, times in µs) of a COPY of (series_id, ts)."""
    rows = np.frombuffer(_inner(body), dtype=_KEY)
    return rows["series_id"].astype(np.int32), rows["ts"].astype(np.int64) + PG_EPOCH_US


def _inner(body: bytes) -> bytes:
    return body[len(_SIGNATURE) : len(body) - len(_TRAILER)]


async def fetch_binary(conn: Any, query: str, *args: object) -> bytes:
    """Run `query` as COPY … TO in binary format and return all of it."""
    sink = io.BytesIO()
    await conn.copy_from_query(query, *args, output=sink, format="binary")
    return sink.getvalue()


def to_python(
    values: NDArray[np.float64], kinds: NDArray[np.int8], texts: dict[int, str]
) -> list[float | bool | str | None]:
    """Return values as they were sent; `texts` by position."""
    plain: list[float | bool | str | None] = values.tolist()
    if not kinds.any():
        return plain
    for at in np.flatnonzero(kinds).tolist():
        kind = kinds[at]
        if kind == Kind.BOOLEAN:
            plain[at] = bool(plain[at])
        elif kind == Kind.NULL:
            plain[at] = None
        else:
            plain[at] = texts.get(at, "")
    return plain
