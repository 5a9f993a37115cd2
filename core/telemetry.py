"""Payload bytes of an agent to columns of readings: the hot path of ingest.

Which reading belongs to which series, when it was taken and what it is worth is decided here,
for all forms alike. What a message says about a series is looked up in a memo: agents repeat
themselves every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import nan
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.payloads import Undecodable, decode_object, is_json, unpack
from core.quality import normalise
from core.readings import Kind, Quality, Reject, SeriesSpec, Telemetry
from core.telemetry_formats import (
    READINGS_MAX,
    Batch,
    Element,
    Group,
    Reading,
    Unreadable,
    Value,
    groups_of_batch,
    groups_of_object,
)
from core.telemetry_series import NO_WORDS, Known, Memo, batch_key_of, key_of
from core.telemetry_times import Times

TEXT_BYTES_MAX: Final = 64 * 1024
MSG_ID_CHARS_MAX: Final = 255
REJECTS_MAX: Final = 100
REJECT_CHARS_MAX: Final = 2_000

_typed_json = msgspec.json.Decoder(Batch)
_typed_msgpack = msgspec.msgpack.Decoder(Batch)
_memo = Memo()
_FLOAT: Final = {float}
_ZEROS: Final = np.zeros(READINGS_MAX, np.int8)  # shared by all columns of floats of good quality
_ZEROS.setflags(write=False)


def decode(payload: bytes, received_at_us: int) -> Telemetry:
    """Return the readings of one message as columns; parts that are none are its rejects.

    `received_at_us` dates readings of messages without any time. Repeated readings stay in.
    Raises Undecodable when the whole message cannot be understood.
    """
    raw = unpack(payload)
    typed = _typed(raw)
    if typed is not None:
        try:
            return _Columns(typed, received_at_us).fill(groups_of_batch(typed))
        except Unreadable:
            pass  # one bad reading: take the message apart to find it
    rejects = _Rejects()
    batch, groups = groups_of_object(decode_object(raw), rejects.add)
    columns = _Columns(batch, received_at_us)
    telemetry = columns.fill(columns.sift(groups, rejects))
    telemetry.rejects = rejects.reported()
    return telemetry


def _typed(raw: bytes) -> Batch | None:
    """Return the batch if it is well-formed throughout."""
    decoder = _typed_json if is_json(raw) else _typed_msgpack
    try:
        batch = decoder.decode(raw)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    return None if batch.messages is None and batch.readings is None else batch


class _Rejects:
    """The first rejected parts, and how many there were in all."""

    def __init__(self) -> None:
        self._kept: list[Reject] = []
        self._count = 0

    def add(self, reason: str, part: object) -> None:
        self._count += 1
        if self._count <= REJECTS_MAX:
            self._kept.append(Reject(reason, _as_json(part)))

    def reported(self) -> list[Reject]:
        hidden = self._count - len(self._kept)
        if not hidden:
            return self._kept
        return [*self._kept, Reject(f"{hidden} more parts are no readings", "")]


class _Columns:
    """Columns while they grow."""

    def __init__(self, batch: Batch, received_at_us: int) -> None:
        self._batch = batch
        self._batch_key = batch_key_of(batch)
        self._times = Times({None: received_at_us})
        self._readings: list[Reading] = []
        self._specs: list[SeriesSpec] = []

    def fill(self, groups: Iterable[Group]) -> Telemetry:
        """Return the readings of all groups; raises Unreadable at the first bad one."""
        stamps: list[str | float | None] = []
        for scope, readings, _ in groups:
            if len(self._readings) + len(readings) > READINGS_MAX:
                raise Undecodable(f"more than {READINGS_MAX} readings")
            self._readings += readings
            self._specs += map(self._known(scope).__getitem__, map(key_of, readings))
            stamp = self._stamp(scope)
            stamps += [r.timestamp or stamp for r in readings]
        times_us = np.array(list(map(self._times.__getitem__, stamps)), np.int64)
        return self._telemetry(times_us)

    def sift(self, groups: Iterable[Group], rejects: _Rejects) -> Iterator[Group]:
        """Give the groups without the readings that `fill` would stumble over."""
        for group in groups:
            known = self._known(group.scope)
            stamp = self._stamp(group.scope)
            good: list[Reading] = []
            for reading, part in zip(group.readings, group.parts, strict=True):
                try:
                    _ = known[key_of(reading)], self._times[reading.timestamp or stamp]
                    _check_text(reading.value)
                except Unreadable as reason:
                    rejects.add(str(reason), part)
                else:
                    good.append(reading)
            yield Group(group.scope, good)

    def _known(self, scope: Element | None) -> Known:
        return _memo.context(key_of(scope) if scope else NO_WORDS, self._batch_key)

    def _stamp(self, scope: Element | None) -> str | float | None:
        return (scope and scope.timestamp) or self._batch.timestamp or None

    def _telemetry(self, times_us: NDArray[np.int64]) -> Telemetry:
        values = [r.value for r in self._readings]
        kinds = _ZEROS[: len(values)]
        texts: dict[int, str] = {}
        if set(map(type, values)) - _FLOAT:
            kinds = np.zeros(len(values), np.int8)
            numbers = list(_numbers(values, kinds, texts))
        else:
            numbers = values  # type: ignore[assignment]  # the set has just said so
        qualities = list(map(_quality_of, [r.quality for r in self._readings]))
        return Telemetry(
            self._specs,
            times_us,
            np.array(numbers, np.float64),
            kinds,
            np.array(qualities, np.int8) if any(qualities) else _ZEROS[: len(values)],
            texts,
            [],
            _msg_id(self._batch.msg_id),
        )


def _numbers(
    values: list[Value], kinds: NDArray[np.int8], texts: dict[int, str]
) -> Iterator[float]:
    """Give what stands for each value in its column, noting kinds and texts."""
    for index, value in enumerate(values):
        if isinstance(value, float):
            yield value
        elif isinstance(value, bool):
            kinds[index] = Kind.BOOLEAN
            yield float(value)
        elif value is None:
            kinds[index] = Kind.NULL
            yield nan
        else:
            _check_text(value)
            kinds[index] = Kind.TEXT
            texts[index] = value
            yield nan


class _Qualities(dict[object, int]):
    """Quality of the usual words; other values are worked out each time.

    Words alone are keys: among numbers, 0 and False would be one key and are not one quality.
    """

    def __missing__(self, value: object) -> int:
        return normalise(value)


_quality_of = _Qualities(
    {
        None: int(Quality.UNKNOWN),
        "GOOD": int(Quality.GOOD),
        "BAD": int(Quality.BAD),
        "UNCERTAIN": int(Quality.UNCERTAIN),
        "good": int(Quality.GOOD),
    }
).__getitem__


def _check_text(value: object) -> None:
    if isinstance(value, str):
        if len(value) * 4 > TEXT_BYTES_MAX and len(value.encode()) > TEXT_BYTES_MAX:
            raise Unreadable(f"text is longer than {TEXT_BYTES_MAX} bytes")
        if "\0" in value:
            raise Unreadable("text holds a zero character")


def _msg_id(text: str | None) -> str | None:
    return text if text and len(text) <= MSG_ID_CHARS_MAX and "\0" not in text else None


def _as_json(part: object) -> str:
    """Return a part for people to look at: cut when long, described when it is not JSON."""
    try:
        text = msgspec.json.encode(part, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):
        text = f"<{type(part).__name__}>"
    return text[:REJECT_CHARS_MAX]
