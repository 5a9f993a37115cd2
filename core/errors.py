"""Everything that can go wrong, in the field's words. No transport is known here.

AppError
├── InvalidInput         the caller's input breaks a rule; names the field and the limit
├── Unauthenticated      nobody, or a credential that does not hold
├── Forbidden            known caller, not allowed
├── NotFound             no such thing, or not yours: the two are not told apart
├── Conflict             the thing exists already, or is in the wrong state
├── PreconditionFailed   the version you named is not the current one
├── LimitReached         a quota of the tenant or of the key is used up
├── RateLimited          too many calls; says when to come back
├── PayloadTooLarge      more bytes than the limit
├── Unavailable          a part we need is away; trying again makes sense
└── TookTooLong          the work was ended at its time limit

Each edge owns one table from code to its own form: schema/errors.py, rest_compat/problem.py,
workers/ingest.py, fleetgraph/cli.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """The closed set of codes that any face of the system may answer with."""

    INVALID_INPUT = "INVALID_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    LIMIT_REACHED = "LIMIT_REACHED"
    RATE_LIMITED = "RATE_LIMITED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class AppError(Exception):
    """Base of all expected failures: a code, one sentence for people, facts for programs."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidInput(AppError):
    """Input that breaks a rule. `field` is the path of the offending input."""

    code = ErrorCode.INVALID_INPUT

    def __init__(self, field: str, reason: str, **facts: object) -> None:
        super().__init__(f"{field}: {reason}", field=field, reason=reason, **facts)


class Unauthenticated(AppError):
    """No credential, or one that does not hold."""

    code = ErrorCode.UNAUTHENTICATED

    def __init__(self, reason: str = "Authentication required", **facts: object) -> None:
        super().__init__(reason, **facts)


class Forbidden(AppError):
    """A known caller without the permission."""

    code = ErrorCode.FORBIDDEN

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(reason, **facts)


class NotFound(AppError):
    """No such thing in the caller's tenant."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, noun: str, key: object) -> None:
        super().__init__(f"{noun} {key} not found", noun=noun, key=str(key))


class Conflict(AppError):
    """The thing exists already, or its state does not permit the move."""

    code = ErrorCode.CONFLICT


class PreconditionFailed(AppError):
    """The version the caller named is not the current one."""

    code = ErrorCode.PRECONDITION_FAILED


class LimitReached(AppError):
    """A quota is used up; `limit` and `used` are in the facts."""

    code = ErrorCode.LIMIT_REACHED


class RateLimited(AppError):
    """Too many calls; come back after `retry_after_seconds`."""

    code = ErrorCode.RATE_LIMITED

    def __init__(self, reason: str, *, retry_after_seconds: int, **facts: object) -> None:
        super().__init__(reason, retry_after_seconds=retry_after_seconds, **facts)


class PayloadTooLarge(AppError):
    """More bytes than allowed, counted after inflation."""

    code = ErrorCode.PAYLOAD_TOO_LARGE

    def __init__(self, what: str, *, limit_bytes: int) -> None:
        super().__init__(f"{what} is larger than {limit_bytes} bytes", limit_bytes=limit_bytes)


class Unavailable(AppError):
    """A part this needs (`part`: database, broker, …) does not answer now."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, part: str, **facts: object) -> None:
        super().__init__(f"{part} is not available, try again", part=part, **facts)


class TookTooLong(AppError):
    """Work that was ended because it took longer than `limit_seconds`."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, what: str, *, limit_seconds: float) -> None:
        super().__init__(
            f"{what} took longer than {limit_seconds:g} s and was ended",
            limit_seconds=limit_seconds,
        )
