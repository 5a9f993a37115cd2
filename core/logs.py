"""Log lines as agents upload them: JSON lines, or one JSON array. Bad lines are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from core.payloads import Undecodable, decode_object, storable
from core.telemetry_formats import Unreadable
from core.telemetry_times import Times

MESSAGE_CHARS_MAX: Final = 64 * 1024
NAME_CHARS_MAX: Final = 255
LEVEL_CHARS_MAX: Final = 16

_LEVELS: Final = {"warning": "warn", "err": "error", "fatal": "error", "critical": "error"}


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
    """The lines of one upload, and how many were skipped as unreadable or empty."""

    lines: list[LogLine]
    skipped: int


def parse_log_lines(body: bytes, received_at_us: int) -> ParsedLogs:
    """Read an uncompressed upload. Never raises: an agent would send the same again for ever."""
    times = Times({None: received_at_us})
    lines: list[LogLine] = []
    skipped = 0
    for item in _items(body):
        line = _line(item, times)
        if line is None:
            skipped += 1
        else:
            lines.append(line)
    return ParsedLogs(lines, skipped)


def level_of(text: str) -> str:
    """Return the level in the spelling that is stored."""
    level = text.strip().lower()[:LEVEL_CHARS_MAX]
    return _LEVELS.get(level, level)


def _items(body: bytes) -> Iterator[object]:
    """Give each line's object; None for one that is not JSON."""
    if body.lstrip()[:1] == b"[":
        array = _decoded(body)
        yield from array if isinstance(array, list) else [None]
        return
    for text in body.split(b"\n"):
        if text.strip():
            yield _decoded(text)


def _decoded(text: bytes) -> object:
    try:
        return storable(decode_object(text))
    except Undecodable:
        return None


def _line(item: object, times: Times) -> LogLine | None:
    if not isinstance(item, dict):
        return None
    message = item.get("message")
    if not isinstance(message, str) or not message.strip():
        return None
    source = item.get("source")
    if not isinstance(source, dict):
        source = {}
    return LogLine(
        time_us=_time_us(item.get("timestamp"), times),
        level=level_of(_text(item.get("level"))) or "info",
        message=message[:MESSAGE_CHARS_MAX],
        service=(_text(item.get("serviceName")) or _text(source.get("name")))[:NAME_CHARS_MAX],
        is_system=item.get("isSystem", source.get("type") == "system") is True,
        is_stderr=item.get("isStderr") is True or item.get("isStdErr") is True,
        meta=_mapping(item.get("meta")) | _mapping(item.get("context")),
    )


def _time_us(stamp: object, times: Times) -> int:
    if isinstance(stamp, bool) or not isinstance(stamp, str | int | float):
        return times[None]
    try:
        return times[stamp if isinstance(stamp, str) else float(stamp)]
    except Unreadable:
        return times[None]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
