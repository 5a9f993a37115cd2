"""How far a reading can be trusted, told from whatever the sender calls it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from core.readings import Quality

_WORDS: Final = {
    "ok": Quality.GOOD,
    "valid": Quality.GOOD,
    "questionable": Quality.UNCERTAIN,
    "fair": Quality.UNCERTAIN,
    "old": Quality.STALE,
    "timeout": Quality.STALE,
    "poor": Quality.BAD,
    "not_connected": Quality.BAD,
    "unknown": Quality.UNKNOWN,
}
_PARTS: Final = (
    ("good", Quality.GOOD),
    ("uncertain", Quality.UNCERTAIN),
    ("stale", Quality.STALE),
    ("bad", Quality.BAD),
    ("error", Quality.BAD),
    ("invalid", Quality.BAD),
    ("fail", Quality.BAD),
)
_STALE_CODES: Final = {0x4094_0000, 0x409B_0000}
_STATUS_BITS: Final = 0xFFFF_0000  # the lower half of an OPC UA status holds flags
_BY_SEVERITY: Final = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.UNKNOWN)


def normalise(value: object) -> Quality:
    """Return the quality that a word, an OPC UA status code or a flag stands for.

    Codes may be unsigned or signed 32 bit. `true` is good, `false` bad, anything else unknown.
    """
    if isinstance(value, str):
        return _of_text(value) if len(value) <= 64 else Quality.UNKNOWN
    if isinstance(value, bool):
        return Quality.GOOD if value else Quality.BAD
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _of_code(value) if isinstance(value, int) else Quality.UNKNOWN


@lru_cache(maxsize=1024)
def _of_text(text: str) -> Quality:
    lowered = text.strip().lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    return next((quality for part, quality in _PARTS if part in lowered), Quality.UNKNOWN)


def _of_code(code: int) -> Quality:
    if code < 0:  # every OPC UA code with the top bit set, read as a signed number
        return Quality.BAD
    if code > 0xFFFF_FFFF:
        return Quality.UNKNOWN
    if code & _STATUS_BITS in _STALE_CODES:
        return Quality.STALE
    return _BY_SEVERITY[code >> 30]
