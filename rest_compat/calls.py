"""One call of an endpoint: caller, limit, variables, execution, answer; and what if it fails."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import GraphQLSchema
from graphql.execution.values import get_variable_values
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.callers import NOBODY, Caller
from core.errors import AppError, ErrorCode, InvalidInput, Unauthenticated, Unavailable
from core.rate_limits import state_in
from rest_compat.answers import to_response
from rest_compat.bodies import check_media_type, parse_lines, read_body
from rest_compat.endpoints import Auth, Codec, Endpoint, Fallback, Place
from rest_compat.etags import etag_matches, not_modified
from rest_compat.executing import FailedLater, Operation, Unexpected
from rest_compat.inputs import read_variables
from rest_compat.kept_answers import KeptAnswers, answer_once
from rest_compat.problem import TRANSIENT, invalid_variable, problem_response, rate_headers
from rest_compat.streams import Watch, streamed

USER_AGENT_CHARS_MAX = 300
PATIENCE_SECONDS = 8.0
"""How long an endpoint with a fallback may take; an agent waits 30 s and counts what is late."""

CallerOf = Callable[[Request], Awaitable[Caller]]
"""Turns a request's credentials into a caller; raises Unauthenticated for one that fails."""

ContextFor = Callable[[Caller, str, str, str], object]
"""Makes the GraphQL context from caller, request id, remote address and user agent."""

Limiter = Callable[[Endpoint, Caller, Request], Awaitable[Mapping[str, str]]]
"""Counts a call; returns headers for the answer, raises RateLimited. NOBODY for bad credentials.

An endpoint with a fallback falls back for agents only: of others nothing is worth accepting.
"""

EtagOf = Callable[[Endpoint, Caller, Mapping[str, Any]], Awaitable[str | None]]
"""The bare ETag an ETAG endpoint would answer with, from the coerced variables; None: unknown."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request whose work could not be done now. `caller` is None when nobody could say who.

    `headers` hold the credential, `body` is inflated already. `run_again` does the
    whole call once more (credentials included, limits not) and raises AppError if it fails; it
    never defers again.
    """

    endpoint: Endpoint
    caller: Caller | None
    request_id: str
    headers: Mapping[str, str]
    body: bytes
    run_again: Callable[[], Coroutine[Any, Any, None]]


Defer = Callable[[Deferred], Awaitable[bool]]
"""Takes a request over; False when it cannot, and the caller then gets the error."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What every call needs, handed in by the program."""

    schema: GraphQLSchema
    context_for: ContextFor
    caller_of: CallerOf
    new_request_id: Callable[[], str]
    limiter: Limiter | None
    defer: Defer | None
    etag_of: EtagOf | None
    kept: KeptAnswers | None
    watch: Watch
    body_limit_bytes: int
    log: logging.Logger


@dataclass(slots=True)
class Call:
    """One request on its way through an endpoint."""

    endpoint: Endpoint
    operation: Operation
    request: Request
    request_id: str
    path: Mapping[str, str]
    body: bytes | None = None
    caller: Caller | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Unanswered(Response):
    """Nothing, for a client that has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


async def answer(edge: Edge, call: Call) -> Response:
    """Answer one request; whatever fails becomes a problem or the endpoint's fallback."""
    try:
        response = await _perform_in_time(edge, call)
    except ClientDisconnect:
        return Unanswered()
    except AppError as error:
        if error.code is ErrorCode.INTERNAL and not isinstance(error, Unexpected):
            _log_failure(edge, call, error)
        response = await _failed(edge, call, error)
    except Exception as error:
        _log_failure(edge, call, error)
        response = await _failed(edge, call, Unexpected(str(error)))
    for name, value in call.headers.items():
        response.headers.setdefault(name, value)
    return response


def _log_failure(edge: Edge, call: Call, error: Exception) -> None:
    edge.log.error(
        "%s failed",
        call.endpoint.name,
        exc_info=error,
        extra={"request_id": call.request_id},
    )


async def _perform_in_time(edge: Edge, call: Call) -> Response:
    """Perform; an endpoint with a fallback falls back before its agent gives up after 30 s."""
    if call.endpoint.answering.when_unavailable is Fallback.FAIL:
        return await _perform(edge, call)
    work = asyncio.ensure_future(_perform(edge, call))
    try:
        done, _ = await asyncio.wait({work}, timeout=PATIENCE_SECONDS)
    finally:
        # Not waited for: what hangs may also hang while it is being cancelled.
        work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if not work.done():
            work.cancel()
    if not done:
        raise Unavailable("the database")
    return work.result()


async def _perform(edge: Edge, call: Call) -> Response:
    endpoint, request = call.endpoint, call.request
    caller = await _known_caller(edge, call)
    if endpoint.reads_body and call.body is None:
        call.body = await _read_body(edge, call)
    given = read_variables(endpoint, request, call.path, call.body or b"")
    if_none_match = request.headers.get("if-none-match")
    if endpoint.answering.codec is Codec.ETAG and if_none_match and edge.etag_of:
        etag = await edge.etag_of(endpoint, caller, _coerced(edge, endpoint, given))
        if etag is not None and etag_matches(if_none_match, etag):
            return not_modified(etag, None, {})
    context = _context(edge, call, caller)

    async def work() -> Response:
        if endpoint.is_subscription:
            events = await call.operation.follow(given, context)
            return streamed(endpoint, events, request, call.request_id, caller, edge.watch)
        data = await call.operation.run(given, context)
        return to_response(endpoint, data, request, call.request_id)

    try:
        return await answer_once(edge.kept, endpoint, caller, request, call.body or b"", work)
    except FailedLater as failed:
        raise failed.error from None
    except InvalidInput as error:
        raise _at_its_line(call, error) from None


async def _read_body(edge: Edge, call: Call) -> bytes:
    own = call.endpoint.body_limit_bytes
    limit = edge.body_limit_bytes if own is None else min(own, edge.body_limit_bytes)
    body = await read_body(call.request, limit)
    if body:
        check_media_type(call.endpoint, call.request)
    return body


_ITEM = re.compile(r"line\[(\d+)\](.*)")


def _at_its_line(call: Call, error: InvalidInput) -> InvalidInput:
    """Name the line of the body instead of the place in the list made from it."""
    found = _ITEM.fullmatch(str(error.facts.get("field", "")))
    if found is None or not any(item.place is Place.LINES for item in call.endpoint.inputs):
        return error
    number = parse_lines(call.body or b"")[1][int(found[1])]
    return InvalidInput(f"line {number}{found[2]}", str(error.facts["reason"]))


async def _known_caller(edge: Edge, call: Call) -> Caller:
    """Resolve the caller and count the call; a credential that fails is counted as nobody's."""
    endpoint = call.endpoint
    refused: Unauthenticated | None = None
    caller = NOBODY
    if endpoint.auth is not Auth.NONE:
        try:
            caller = await edge.caller_of(call.request)
        except Unauthenticated as error:
            if not any(item.place is Place.BEARER for item in endpoint.inputs):
                refused = error
    if refused is None:
        call.caller = caller
    if edge.limiter is not None:
        call.headers |= await edge.limiter(endpoint, caller, call.request)
    if refused is not None:
        raise refused
    return caller


def _coerced(edge: Edge, endpoint: Endpoint, given: dict[str, Any]) -> Mapping[str, Any]:
    nodes = endpoint.operation.variable_definitions or ()
    values = get_variable_values(edge.schema, nodes, given, max_errors=5, hide_suggestions=False)
    if isinstance(values, list):
        raise invalid_variable(values[0], endpoint.inputs)
    return values.coerced


def _context(edge: Edge, call: Call, caller: Caller) -> object:
    client = call.request.client
    user_agent = call.request.headers.get("user-agent", "")[:USER_AGENT_CHARS_MAX]
    return edge.context_for(caller, call.request_id, client.host if client else "", user_agent)


async def _failed(edge: Edge, call: Call, error: AppError) -> Response:
    fallback = call.endpoint.answering.when_unavailable
    if error.code is ErrorCode.RATE_LIMITED:
        call.headers |= rate_headers(state_in(error.facts))
        if call.caller is None or call.caller.agent_uuid is None:
            fallback = Fallback.FAIL  # nobody known fills the spool of deferred reports
    if error.code in TRANSIENT and fallback is not Fallback.FAIL:
        is_limited = error.code is ErrorCode.RATE_LIMITED  # whoever calls too often fills no log
        edge.log.log(
            logging.DEBUG if is_limited else logging.WARNING,
            "%s answers %s instead of %s: %s",
            call.endpoint.name,
            fallback,
            error.code,
            error.message,
            extra={"request_id": call.request_id},
        )
        if fallback is Fallback.NOT_MODIFIED:
            return not_modified(None, None, {})
        if await _is_deferred(edge, call):
            return Response(
                b'{"status":"accepted"}', status_code=202, media_type="application/json"
            )
    return problem_response(error, request_id=call.request_id, answering=call.endpoint.answering)


async def _is_deferred(edge: Edge, call: Call) -> bool:
    if edge.defer is None:
        return False

    async def run_again() -> None:
        await _perform(replace(edge, limiter=None), replace(call, headers={}))

    try:
        if call.endpoint.reads_body and call.body is None:
            call.body = await _read_body(edge, call)
        return await edge.defer(
            Deferred(
                call.endpoint,
                call.caller,
                call.request_id,
                call.request.headers,
                call.body or b"",
                run_again,
            )
        )
    except Exception:
        edge.log.exception("%s cannot be deferred", call.endpoint.name)
        return False
