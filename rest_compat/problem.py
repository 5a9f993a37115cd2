"""Errors as REST tells them: problem+json that legacy clients can read as well. The only table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import GraphQLError, VariableDefinitionNode, VariableNode
from starlette.responses import Response

from core.errors import AppError, ErrorCode, InvalidInput
from core.rate_limits import RateState
from rest_compat.endpoints import Answering, Endpoint, Envelope, ErrorTitle, Input
from rest_compat.labels import as_called

PROBLEM_JSON: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
"""When to come back to what is not available; a restart takes about that long."""

_RATE_LIMIT: Final = ("RateLimit", "X-RateLimit")
TRANSIENT: Final = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.RATE_LIMITED})


@dataclass(frozen=True, slots=True)
class Kind:
    """How a code is told: the status, the title, and the short title of legacy clients."""

    status: int
    title: str
    error: str


KINDS: Final[Mapping[ErrorCode, Kind]] = {
    ErrorCode.INVALID_INPUT: Kind(400, "Invalid input", "Invalid request"),
    ErrorCode.UNAUTHENTICATED: Kind(401, "Not authenticated", "Unauthorized"),
    ErrorCode.FORBIDDEN: Kind(403, "Not allowed", "Forbidden"),
    ErrorCode.NOT_FOUND: Kind(404, "Not found", "Not found"),
    ErrorCode.CONFLICT: Kind(409, "Conflict", "Conflict"),
    ErrorCode.PRECONDITION_FAILED: Kind(412, "Precondition failed", "Precondition failed"),
    ErrorCode.LIMIT_REACHED: Kind(403, "Limit reached", "Limit reached"),
    ErrorCode.RATE_LIMITED: Kind(429, "Too many requests", "Too many requests"),
    ErrorCode.PAYLOAD_TOO_LARGE: Kind(413, "Payload too large", "Payload too large"),
    ErrorCode.UNAVAILABLE: Kind(503, "Not available now", "Service unavailable"),
    ErrorCode.INTERNAL: Kind(500, "Unexpected failure", "Internal server error"),
}


HEADER_KINDS: Final[Mapping[str, Kind]] = {
    "Content-Type": Kind(415, "Unsupported media type", "Unsupported media type"),
    "Content-Encoding": Kind(415, "Unsupported encoding", "Unsupported media type"),
    "Idempotency-Key": Kind(422, "Key used for something else", "Invalid idempotency key"),
}
"""Invalid input in these headers has a status of its own, whatever titles an endpoint gives."""


def problem_response(
    error: AppError,
    *,
    request_id: str,
    answering: Answering | None = None,
    kind: Kind | None = None,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that tells of an error.

    `answering` brings the titles of one endpoint; `kind` replaces the table's entry, `more` adds
    members. The detail of INTERNAL is never told.
    """
    entry = _entry_for(error, answering)
    kind = kind or _kind_for(error, entry)
    is_internal = error.code is ErrorCode.INTERNAL
    detail = f"Something went wrong; quote request {request_id}" if is_internal else error.message
    body: dict[str, object] = {
        "type": f"urn:fleetgraph:error:{error.code.lower().replace('_', '-')}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": error.code.value,
        "error": kind.error,
        "message": detail,
        "requestId": request_id,
    }
    if error.facts and not is_internal:
        body["facts"] = error.facts
    if answering is not None and answering.envelope is Envelope.SUCCESS:
        body["success"] = False
    if entry is not None and not is_internal:
        for name, fact in entry.members:
            _tell(body, name.split("."), {**error.facts, "message": detail}.get(fact))
    seconds = error.facts.get("retry_after_seconds")
    if error.code is ErrorCode.RATE_LIMITED and isinstance(seconds, int):
        body["retryAfter"] = _duration_text(seconds)
    body |= more or {}
    return Response(
        orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS),
        status_code=kind.status,
        media_type=PROBLEM_JSON,
        headers={**(headers or {}), **_headers(error, kind)},
    )


def _entry_for(error: AppError, answering: Answering | None) -> ErrorTitle | None:
    field = str(error.facts.get("field", ""))
    for entry in answering.errors if answering else ():
        knows = entry.fact is None or entry.fact in error.facts
        if entry.code is error.code and knows and _is_about(field, entry.field):
            return entry
    return None


def _kind_for(error: AppError, entry: ErrorTitle | None) -> Kind:
    if error.code is ErrorCode.INVALID_INPUT and error.facts.get("field") in HEADER_KINDS:
        return HEADER_KINDS[str(error.facts["field"])]
    kind = KINDS[error.code]
    return kind if entry is None else Kind(entry.status or kind.status, kind.title, entry.title)


def _tell(body: dict[str, object], path: list[str], value: object) -> None:
    """Put a fact at a dotted path; nothing is told of a fact that the error does not know."""
    if value is None:
        return
    inside: Any = body
    for part in path[:-1]:
        name = part.removesuffix("[]")
        inside = inside.setdefault(name, [{}] if part.endswith("[]") else {})
        if isinstance(inside, list):
            inside = inside[0]
    name = path[-1].removesuffix("[]")
    inside[name] = [value] if path[-1].endswith("[]") and not isinstance(value, list) else value


def _is_about(field: str, wanted: str | None) -> bool:
    return wanted is None or field == wanted or field.startswith((f"{wanted}[", f"{wanted}."))


def rate_headers(state: RateState | None) -> dict[str, str]:
    """Return where a caller stands, in both spellings that clients know."""
    if state is None:
        return {}
    told = {
        "Limit": str(state.limit),
        "Remaining": str(state.remaining),
        "Reset": str(state.reset_seconds),
    }
    return {f"{start}-{name}": text for start in _RATE_LIMIT for name, text in told.items()}


def _headers(error: AppError, kind: Kind) -> dict[str, str]:
    headers = {}
    usual = RETRY_SECONDS if kind.status == 503 else None
    seconds = error.facts.get("retry_after_seconds", usual)
    if isinstance(seconds, int):
        headers["Retry-After"] = str(max(0, seconds))
    accepted = error.facts.get("accepted")
    if kind.status == 415 and isinstance(accepted, list):
        headers["Accept-Encoding"] = ", ".join(accepted)
    if kind.status == 401:
        challenge = error.facts.get("www_authenticate")
        headers["WWW-Authenticate"] = challenge if isinstance(challenge, str) else "Bearer"
    return headers


def _duration_text(seconds: int) -> str:
    if seconds > 90:
        return f"{round(seconds / 60)} minutes"
    if seconds >= 60:
        return "1 minute"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def expected_error(error: GraphQLError, endpoint: Endpoint) -> AppError | None:
    """Return the expected failure behind an error of the engine; None for anything else.

    It names inputs as the caller knows them.
    """
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        for node in cause.nodes or ():
            if isinstance(node, VariableNode | VariableDefinitionNode):
                return invalid_variable(cause, endpoint.inputs)
        cause = cause.original_error
    if isinstance(cause, AppError):
        return as_called(cause, endpoint.labels)
    code = str((error.extensions or {}).get("code"))
    if code in KINDS and code != ErrorCode.INTERNAL:
        return _told(error, ErrorCode(code))
    return None


def _told(error: GraphQLError, code: ErrorCode) -> AppError:
    """Return what the engine itself refused, which comes with a code and no AppError."""
    facts = {key: value for key, value in (error.extensions or {}).items() if key != "code"}
    told = AppError(error.message, **facts)
    told.code = code  # type: ignore[misc]  # elsewhere the class fixes it
    return told


def invalid_variable(error: GraphQLError, inputs: Iterable[Input]) -> InvalidInput:
    """Return a refused variable as InvalidInput, named as the caller knows it."""
    name = ""
    for node in error.nodes or ():
        if isinstance(node, VariableDefinitionNode):
            name = node.variable.name.value
        elif isinstance(node, VariableNode):
            name = node.name.value
    return _invalid(name, error, inputs)


def _invalid(name: str, error: GraphQLError, inputs: Iterable[Input]) -> InvalidInput:
    item = next((each for each in inputs if each.name == name), None)
    label = item.label if item else name or "request"
    head, _, reason = error.message.partition(": ")
    if "not to be None" in reason:
        reason = "must not be null"
    elif "non-null type" in reason and "to be provided" in reason:
        reason = "is required"
    return InvalidInput(f"{label}{head.partition(' at ')[2]}", (reason or head)[:300])
