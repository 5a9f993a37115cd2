"""MQTT topic filters: which are well formed, and what one grants of another."""

from __future__ import annotations

import re
from typing import Final

from core.errors import InvalidInput

FILTER_BYTES_MAX: Final = 1024
LEVELS_MAX: Final = 100
"""Mosquitto refuses a whole file for one line of more than 200 levels."""

# No white space but blanks, nothing that ends a line for whoever reads one.
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff]")


def check_filter(topic: str) -> None:
    """Raise InvalidInput, with the field `topic`, for what is no topic filter of one line."""
    if _UNFIT.search(topic) or topic != topic.strip():
        raise InvalidInput("topic", "must not have control characters, or blanks around it")
    if not 1 <= len(topic.encode()) <= FILTER_BYTES_MAX:
        raise InvalidInput(
            "topic", f"must have 1 to {FILTER_BYTES_MAX} bytes", limit=FILTER_BYTES_MAX
        )
    levels = topic.split("/")
    if len(levels) > LEVELS_MAX:
        raise InvalidInput("topic", f"must have at most {LEVELS_MAX} levels", limit=LEVELS_MAX)
    if any(len(level) > 1 and {"+", "#"} & {*level} for level in levels):
        raise InvalidInput("topic", "+ and # stand for whole levels")
    if "#" in levels[:-1]:
        raise InvalidInput("topic", "# may only be the last level")


def covers(granted: str, wanted: str) -> bool:
    """Say whether everything that `wanted` (a topic, or a filter) can match is `granted`.

    As in MQTT, `a/#` is also `a`, and a wildcard of the first level is no topic that begins
    with `$`.
    """
    if wanted.startswith("$") and not granted.startswith("$"):
        return False
    have = wanted.split("/")
    levels = granted.split("/")
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(have) or have[index] == "#" or level not in {"+", have[index]}:
            return False
    return len(levels) == len(have)
