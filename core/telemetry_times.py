"""When a reading was taken: ISO text or epoch milliseconds to microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from core.clock import micros
from core.telemetry_formats import Unreadable

YEAR_10000_US: Final = 253_402_300_800_000_000

_NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,9})?", re.ASCII)
_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_MILLIS_US: Final = {f".{millis:03}Z": millis * 1000 for millis in range(1000)}
_SECONDS_MAX: Final = 4_096
_seconds_us: dict[str, int] = {}  # of `2026-03-01T10:05:01`, as many as were needed lately


class Times(dict[str | float | None, int]):
    """Microseconds since 1970-01-01 UTC by the time as sent; each spelling is read once.

    To be made with what None stands for. Looking up what is no time between 1970 and 9999
    raises Unreadable. A text without a zone is UTC; a text of digits is milliseconds.
    """

    def __missing__(self, stamp: str | float) -> int:
        moment_us = _text_us(stamp) if isinstance(stamp, str) else _millis_us(stamp)
        if moment_us is None or not 0 <= moment_us < YEAR_10000_US:
            raise Unreadable(f"timestamp {str(stamp)[:60]!r} is not a time")
        self[stamp] = moment_us
        return moment_us


def _text_us(text: str) -> int | None:
    """Read `2026-03-01T10:05:01.010Z` in halves: most messages share the second."""
    millis_us = _MILLIS_US.get(text[19:])
    if millis_us is None:  # another precision or zone
        return _any_text_us(text)
    second = text[:19]
    second_us = _seconds_us.get(second)
    if second_us is None:
        second_us = _any_text_us(second) if _SECOND.fullmatch(second) else None
        if second_us is None:
            return None
        if len(_seconds_us) >= _SECONDS_MAX:
            _seconds_us.clear()
        _seconds_us[second] = second_us
    return second_us + millis_us


def _any_text_us(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _millis_us(float(text)) if _NUMBER.fullmatch(text) else None
    if moment.tzinfo is None:
        if text.isdigit():  # eight digits are a date to ISO, and milliseconds to agents
            return _millis_us(float(text))
        moment = moment.replace(tzinfo=UTC)
    return micros(moment)


def _millis_us(millis: float) -> int | None:
    # The comparison is false for NaN, and keeps the product within an integer.
    return round(millis * 1000) if -1e15 < millis < 1e15 else None
