"""Which form an answer takes, by what the client says it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Form(StrEnum):
    """The forms of one answer, each by its media type.

    LEGACY answers 200 to every well-formed request, since its clients cannot tell an answer of
    ours from one of a proxy between; RESPONSE has statuses that mean something.
    """

    LEGACY = "application/json"
    RESPONSE = "application/graphql-response+json"


class Stream(StrEnum):
    """The forms of many answers, each by its media type."""

    SSE = "text/event-stream"
    MULTIPART = "multipart/mixed"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client accepts: of either kind the form it likes best, None for none."""

    form: Form | None
    stream: Stream | None


@dataclass(frozen=True, slots=True)
class _Range:
    type: str
    subtype: str
    parameters: dict[str, str]
    quality: float


_ANYTHING: Final = _Range("*", "*", {}, 1.0)
_SUBSCRIPTIONS: Final = {"subscriptionspec": "1.0"}
_CHARS_MAX: Final = 1_000
"""Of a header: what is remembered must not be as long as a stranger likes."""


def accepted(accept: str) -> Accepted:
    """Return what the text of an Accept header allows; an empty one allows anything.

    Streams must be named: who takes `*/*` rarely means an answer without end.
    """
    return _accepted(accept[:_CHARS_MAX])


def is_json(content_type: str) -> bool:
    """Tell whether a request's Content-Type is JSON in UTF-8."""
    return len(content_type) <= _CHARS_MAX and _is_json(content_type)


@lru_cache(256)
def _accepted(accept: str) -> Accepted:
    ranges = _ranges(accept) or [_ANYTHING]
    legacy = _quality(ranges, "application", "json")
    response = _quality(ranges, "application", "graphql-response+json")
    form: Form | None = None
    if legacy[0] or response[0]:
        # Equal when both are named (the newer one is meant then) or neither is.
        prefers_response = response > legacy or (response == legacy and response[1] == 2)
        form = Form.RESPONSE if prefers_response else Form.LEGACY
    named = [(each.quality, stream) for each in ranges if (stream := _stream(each))]
    best = max((quality for quality, _ in named), default=0.0)
    return Accepted(form, next((each for quality, each in named if quality == best > 0), None))


@lru_cache(256)
def _is_json(content_type: str) -> bool:
    found = _range(content_type)
    charset = found.parameters.get("charset", "utf-8").lower()
    named = f"{found.type}/{found.subtype}"
    return named == Form.LEGACY and charset in {"utf-8", "utf8"}


def _quality(ranges: list[_Range], type_: str, subtype: str) -> tuple[float, int]:
    """Return how much a media type is liked, and how exactly it was named: 0, 1 or 2."""
    found = (0, 0.0)
    for each in ranges:
        if each.type == type_ and each.subtype == subtype:
            found = max(found, (2, each.quality))
        elif each.subtype == "*" and each.type in {type_, "*"}:
            found = max(found, (int(each.type != "*"), each.quality))
    return found[1], found[0]


def _stream(accepted_range: _Range) -> Stream | None:
    named = f"{accepted_range.type}/{accepted_range.subtype}"
    if named == Stream.SSE:
        return Stream.SSE
    # Without the parameter it means answers in parts (@defer), which are another protocol.
    if named == Stream.MULTIPART and _SUBSCRIPTIONS.items() <= accepted_range.parameters.items():
        return Stream.MULTIPART
    return None


def _ranges(accept: str) -> list[_Range]:
    return [_range(part) for part in accept.split(",") if part.strip()]


def _range(text: str) -> _Range:
    media_type, *rest = text.split(";")
    type_, _, subtype = media_type.strip().lower().partition("/")
    parameters = {}
    for each in rest:
        name, _, value = each.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    try:
        quality = min(max(float(parameters.pop("q", "1")), 0.0), 1.0)
    except ValueError:
        quality = 0.0
    return _Range(type_, subtype, parameters, quality)
