"""Log lines as agents upload them: JSON lines, or one JSON array. Bad lines are skipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from core.payloads import Undecodable, decode_object, mend_surrogates, storable
from core.telemetry_formats import Unreadable
from core.telemetry_times import Times

MESSAGE_CHARS_MAX: Final = 64 * 1024
NAME_CHARS_MAX: Final = 255
LEVEL_CHARS_MAX: Final = 16
LINE_BYTES_MAX: Final = 1024 * 1024
LINES_MAX: Final = 50_000
"""Lines of one upload that are looked at; an agent sends 200. Those behind count as skipped."""

COMMAS_MAX: Final = 500_000
"""Of an array that is split in one go, with all others waiting: more would take over 50 ms."""

BROKEN_BYTES_MAX: Final = 1024 * 1024
"""What is read of an array that is cut off, malformed or beyond COMMAS_MAX."""

LEVELS: Final = ("debug", "info", "warn", "error")
"""The levels that have a rank; a sender may use words of its own beside them."""

_LEVELS: Final = {"warning": "warn", "err": "error", "fatal": "error", "critical": "error"}
_BETWEEN: Final = re.compile(r"[\s,]*")
_scanner: Final = json.JSONDecoder()
_splitter: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        time_us: microseconds since 1970-01-01 UTC; of the upload if the line has no time.
        level: debug, info, warn, error, or what else the sender says, in lower case.
        message: never empty, cut at MESSAGE_CHARS_MAX.
        service: the container's service or the part of the agent; empty if not said.
        is_system: of the agent itself rather than of a container.
        is_stderr: came over standard error.
        meta: free facts.
    """

    time_us: int
    level: str
    message: str
    service: str
    is_system: bool
    is_stderr: bool
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ParsedLogs:
    """The lines of one upload.

    Attributes:
        lines: those that could be read, in their order.
        skipped: how many were unreadable, empty, too long or too many; of a broken array at least.
        are_timed: all lines bring a time: the same lines again are then a repeat.
    """

    lines: list[LogLine]
    skipped: int
    are_timed: bool


def parse_log_lines(body: bytes, received_at_us: int) -> ParsedLogs:
    """Read an uncompressed upload. Never raises: an agent would send the same again for ever."""
    times = Times({None: received_at_us})
    lines: list[LogLine] = []
    items, skipped = _items(body)
    untimed = 0
    for item in items:
        message = _message(item)
        if message is None:
            skipped += 1
            continue
        assert isinstance(item, dict)
        time_us = time_in(item.get("timestamp"), times)
        untimed += time_us is None
        lines.append(_line(item, message, received_at_us if time_us is None else time_us))
    return ParsedLogs(lines, skipped, are_timed=not untimed)


def level_of(text: str) -> str:
    """Return the level in the spelling that is stored."""
    level = text.strip().lower()[:LEVEL_CHARS_MAX]
    return _LEVELS.get(level, level)


def _items(body: bytes) -> tuple[Iterator[object], int]:
    """Return at most LINES_MAX items, None for each that is not JSON; and how many are behind."""
    body = body.lstrip()
    if body[:1] != b"[":
        ends = body.count(b"\n") + (not body.endswith(b"\n"))
        return _items_of_lines(body), max(0, ends - LINES_MAX)
    if body.count(b",") <= COMMAS_MAX:
        try:
            parts = _splitter.decode(body)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return _items_of_parts(parts[:LINES_MAX]), max(0, len(parts) - LINES_MAX)
    text = mend_surrogates(body[:BROKEN_BYTES_MAX]).decode(errors="replace")
    return islice(_items_of_array(text), LINES_MAX), 0


def _items_of_lines(body: bytes) -> Iterator[object]:
    """Give each line's object, and nothing for a blank line, which counts all the same."""
    start = 0
    for _ in range(LINES_MAX):
        if start >= len(body):
            return
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if end - start > LINE_BYTES_MAX:
            yield None
        elif text := body[start:end].strip():
            yield _decoded(text)
        start = end + 1


def _items_of_parts(parts: list[msgspec.Raw]) -> Iterator[object]:
    for part in parts:
        text = memoryview(part)
        yield None if len(text) > LINE_BYTES_MAX else _decoded(bytes(text))


def _items_of_array(text: str) -> Iterator[object]:
    """Give the items one by one: what is cut off keeps its start."""
    at = text.index("[") + 1
    while True:
        at = _end_of(_BETWEEN, text, at)
        if text[at : at + 1] == "]":
            return
        try:
            item, at = _scanner.raw_decode(text, at)
            yield storable(item)
        except (ValueError, RecursionError, Undecodable):
            yield None
            return


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _decoded(text: bytes) -> object:
    try:
        return storable(decode_object(text))
    except Undecodable:
        pass
    try:  # what writes to a container's log need not write UTF-8
        return storable(decode_object(text.decode(errors="replace").encode()))
    except Undecodable:
        return None


def _message(item: object) -> str | None:
    message = item.get("message") if isinstance(item, dict) else None
    return message if isinstance(message, str) and message.strip() else None


def _line(item: dict[str, Any], message: str, time_us: int) -> LogLine:
    source = item.get("source")
    if not isinstance(source, dict):
        source = {}
    return LogLine(
        time_us=time_us,
        level=level_of(_text(item.get("level"))) or "info",
        message=message[:MESSAGE_CHARS_MAX],
        service=(_text(item.get("serviceName")) or _text(source.get("name")))[:NAME_CHARS_MAX],
        is_system=item.get("isSystem", source.get("type") == "system") is True,
        is_stderr=item.get("isStderr") is True or item.get("isStdErr") is True,
        meta=_mapping(item.get("meta")) | _mapping(item.get("context")),
    )


def time_in(stamp: object, times: Times) -> int | None:
    """Return what an ISO text or milliseconds say, in microseconds; None if that is no time."""
    if isinstance(stamp, bool) or not isinstance(stamp, str | int | float):
        return None
    try:
        return times[stamp if isinstance(stamp, str) else float(stamp)]
    except (Unreadable, OverflowError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
