"""From AppError to a GraphQL error: `extensions.code` and the facts; the unexpected stays hidden."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from graphql import GraphQLError

from core.errors import AppError, ErrorCode

_logger = logging.getLogger("fleetgraph.graphql")

_CODED: frozenset[ErrorCode] = frozenset(ErrorCode)
"""Every code goes out as it is: GraphQL has no status of its own to map to."""

MASKED_MESSAGE = "Something went wrong on our side"
MESSAGE_MAX = 500


def present(error: GraphQLError, request_id: str) -> GraphQLError:
    """Return the error as callers may see it, with `extensions.code`.

    An AppError keeps its sentence and facts. A document or a value that does not fit is
    INVALID_INPUT. Anything else is INTERNAL with the request id, and is logged with its traceback.
    """
    if error.extensions and error.extensions.get("code") in _CODED:
        return error
    cause = root_cause(error)
    if isinstance(cause, AppError):
        return _rebuilt(error, cause.message, {"code": cause.code.value, **_facts(cause)}, cause)
    if cause is None or _is_bad_value(error):
        message = error.message[:MESSAGE_MAX]  # it may repeat a text of the caller
        return _rebuilt(error, message, {"code": ErrorCode.INVALID_INPUT.value}, cause)
    where = "/".join(map(str, error.path or ())) or "operation"
    _logger.error(
        "unexpected error at %s (request %s)",
        where,
        request_id,
        exc_info=cause,
        extra={"request_id": request_id},
    )
    masked = {"code": ErrorCode.INTERNAL.value, "requestId": request_id}
    return _rebuilt(error, MASKED_MESSAGE, masked, cause)


def root_cause(error: GraphQLError) -> BaseException | None:
    """Return the first cause that is no GraphQLError; graphql-core wraps its own errors too."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _is_bad_value(error: GraphQLError) -> bool:
    # A variable that a scalar refuses has nodes but, being before execution, no path.
    return error.path is None and bool(error.nodes)


def _rebuilt(
    error: GraphQLError, message: str, extensions: Mapping[str, object], cause: BaseException | None
) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        original_error=cause if isinstance(cause, Exception) else None,
        extensions=dict(extensions),
    )


def _facts(error: AppError) -> dict[str, object]:
    return {key: plain(value) for key, value in error.facts.items()}


def plain(value: object) -> object:
    """Return a fact as JSON can say it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (UUID, datetime)):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)
