"""Log lines as agents upload them: JSON lines, or one JSON array. Bad lines are skipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from core.payloads import Undecodable, decode_object, mend_surrogates, storable
from core.telemetry_formats import Unreadable
from core.telemetry_times import Times

MESSAGE_CHARS_MAX: Final = 64 * 1024
NAME_CHARS_MAX: Final = 255
LEVEL_CHARS_MAX: Final = 16
LINE_BYTES_MAX: Final = 1024 * 1024
LINES_MAX: Final = 50_000
"""Lines of one upload that are read; an agent sends 200. Those behind are counted as skipped."""

LEVELS: Final = ("debug", "info", "warn", "error")
"""The levels that have a rank; a sender may use words of its own beside them."""

_LEVELS: Final = {"warning": "warn", "err": "error", "fatal": "error", "critical": "error"}
_BETWEEN: Final = re.compile(r"[\s,]*")
_scanner: Final = json.JSONDecoder()


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
        skipped: how many were unreadable, empty, too long or too many.
        are_timed: all lines bring a time: the same lines again are then a repeat.
    """

    lines: list[LogLine]
    skipped: int
    are_timed: bool


def parse_log_lines(body: bytes, received_at_us: int) -> ParsedLogs:
    """Read an uncompressed upload. Never raises: an agent would send the same again for ever."""
    times = Times({None: received_at_us})
    lines: list[LogLine] = []
    skipped = untimed = 0
    for item in _items(body):
        message = _message(item)
        if message is None or len(lines) == LINES_MAX:
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


def _items(body: bytes) -> Iterator[object]:
    """Give each line's object; None for one that is not JSON."""
    if body.lstrip()[:1] == b"[":
        yield from _items_of_array(mend_surrogates(body).decode(errors="replace"))
        return
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if end - start > LINE_BYTES_MAX:
            yield None
        elif text := body[start:end].strip():
            yield _decoded(text)
        start = end + 1


def _items_of_array(text: str) -> Iterator[object]:
    """Give the items one by one, which never takes much memory; what is cut off keeps its start."""
    at = text.index("[") + 1
    while True:
        at = _end_of(_BETWEEN, text, at)
        if text[at : at + 1] == "]":
            return
        start = at
        try:
            item, at = _scanner.raw_decode(text, start)
            yield storable(item) if at - start <= LINE_BYTES_MAX else None
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
