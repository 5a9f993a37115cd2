"""What an agent says about the health of its endpoints, read without ever being strict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

NAME_CHARS_MAX: Final = 255
WORD_CHARS_MAX: Final = 50
ERROR_CHARS_MAX: Final = 1_000
ENDPOINTS_MAX: Final = 2_000
"""More than these of one report are left out of the rows; the merged state has them all."""

_COUNT_MAX: Final = 2.0**53


@dataclass(frozen=True, slots=True)
class ReportedHealth:
    """One endpoint as its agent sees it; None what the agent did not say.

    Attributes:
        status: online, offline or disabled, in the agent's word.
        last_poll: by the agent's clock, as is `last_seen`: to be shown, never to be reckoned with.
        communication_quality: good, degraded, poor, offline or disabled, in the agent's word.
    """

    name: str
    protocol: str | None
    status: str | None
    connected: bool | None
    last_poll: datetime | None
    last_seen: datetime | None
    error_count: int | None
    last_error: str | None
    response_time_ms: float | None
    poll_success_rate: float | None
    communication_quality: str | None


def read_health(endpoints_health: Mapping[str, Mapping[str, Any]]) -> list[ReportedHealth]:
    """Return the endpoints of a report by name; what has an unusable type is left out."""
    found: dict[str, ReportedHealth] = {}
    for name, told in endpoints_health.items():
        one = _read(name[:NAME_CHARS_MAX], told)
        found.setdefault(one.name, one)
        if len(found) == ENDPOINTS_MAX:
            break
    return list(found.values())


def _read(name: str, told: Mapping[str, Any]) -> ReportedHealth:
    connected = told.get("connected")
    return ReportedHealth(
        name=name,
        protocol=_text(told.get("protocol"), WORD_CHARS_MAX),
        status=_text(told.get("status"), WORD_CHARS_MAX),
        connected=connected if isinstance(connected, bool) else None,
        last_poll=_moment(told.get("lastPoll")),
        last_seen=_moment(told.get("lastSeen")),
        error_count=_count(told.get("errorCount")),
        last_error=_text(told.get("lastError"), ERROR_CHARS_MAX),
        response_time_ms=_number(told.get("responseTimeMs")),
        poll_success_rate=_number(told.get("pollSuccessRate")),
        communication_quality=_text(told.get("communicationQuality"), WORD_CHARS_MAX),
    )


def _text(value: object, chars_max: int) -> str | None:
    return value[:chars_max] if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(max(0.0, min(number, _COUNT_MAX)))


def _moment(value: object) -> datetime | None:
    """Return a time as told, in UTC; one without a zone is taken for UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
