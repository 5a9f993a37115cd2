"""Answers as bytes, and the status that goes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from graphql import GraphQLError

from core.errors import AppError, ErrorCode
from core.rate_limits import RateState, state_in
from schema.errors import plain
from schema.execution.requests import Answer

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.INVALID_INPUT: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 400,
    ErrorCode.CONFLICT: 400,
    ErrorCode.PRECONDITION_FAILED: 400,
    ErrorCode.LIMIT_REACHED: 400,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
"""The status of a request of which nothing ran."""

RETRY_SECONDS: Final = 1


def encode(value: object) -> bytes:
    """Return JSON; NaN and infinities become null, numpy arrays lists."""
    return orjson.dumps(value, option=_OPTIONS)


def encode_answer(answer: Answer) -> bytes:
    """Return the response map as JSON, `extensions` last."""
    return encode(answer.body())


def refusal(error: AppError) -> Answer:
    """Return the answer to a request that failed before anything ran."""
    facts = {key: plain(value) for key, value in error.facts.items()}
    extensions = {"code": error.code.value, **facts}
    return Answer(None, [GraphQLError(error.message, extensions=extensions)], is_executed=False)


def status_of(errors: Sequence[GraphQLError]) -> int:
    """Return the status that the errors of a request of which nothing ran stand for."""
    for error in errors:
        status = _status(error)
        if status != 400:
            return status
    return 400


def rate_headers(state: RateState | None) -> list[tuple[bytes, bytes]]:
    """Return where a caller stands, in both spellings that clients know."""
    if state is None:
        return []
    limit, remaining = b"%d" % state.limit, b"%d" % state.remaining
    seconds = b"%d" % state.reset_seconds
    return [
        (b"ratelimit-limit", limit),
        (b"ratelimit-remaining", remaining),
        (b"ratelimit-reset", seconds),
        (b"x-ratelimit-limit", limit),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", seconds),
    ]


def exceeded(errors: Sequence[GraphQLError]) -> RateState | None:
    """Return the limit that one of the errors tells of, if one does."""
    for error in errors:
        facts = error.extensions or {}
        if facts.get("code") == ErrorCode.RATE_LIMITED:
            return state_in(facts)
    return None


def headers_of(status: int, errors: Sequence[GraphQLError]) -> list[tuple[bytes, bytes]]:
    """Return what must be told besides: how to sign in, when to come back."""
    if status == 401:
        return [(b"www-authenticate", b"Bearer")]
    seconds: Any = next(
        (s for e in errors if (s := (e.extensions or {}).get("retry_after_seconds"))),
        RETRY_SECONDS if status in {429, 503} else None,
    )
    return [] if seconds is None else [(b"retry-after", str(seconds).encode())]


def _status(error: GraphQLError) -> int:
    code: Any = (error.extensions or {}).get("code")
    return STATUS.get(code, 400)  # a StrEnum is found by its text
