"""GraphQL over HTTP: https://graphql.github.io/graphql-over-http/draft/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from graphql import GraphQLError, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.callers import NOBODY, Caller
from core.errors import AppError, InvalidInput, Unauthenticated
from core.rate_limits import count_call
from fleetgraph.graphql import batches
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.encoding import (
    encode,
    encode_answer,
    exceeded,
    headers_of,
    refusal,
    status_of,
)
from fleetgraph.graphql.exchange import Disconnected, Exchange, WrongForm
from fleetgraph.graphql.incoming import read_json
from fleetgraph.graphql.negotiation import Accepted, Form, Stream, accepted, is_json
from fleetgraph.graphql.streams import Streams
from fleetgraph.refusals import RefusedCall
from schema.context import GraphQLContext
from schema.errors import present
from schema.execution.requests import Answer, GraphQLRequest, Refused

Page = Callable[[Request], Response]
"""What a browser sees that opens the endpoint."""

_PARAMETERS_MAX: Final = 20
_JSON_PARAMETERS: Final = ("variables", "extensions")
_NO_STREAM: Final = (
    f"must allow {Stream.SSE} or {Stream.MULTIPART};subscriptionSpec=1.0 for a subscription, "
    "unless it goes over a WebSocket (graphql-transport-ws)"
)


class HttpEndpoint:
    """The ASGI application behind POST and GET."""

    def __init__(self, edge: Edge, streams: Streams, page: Page) -> None:
        self._edge = edge
        self._streams = streams
        self._page = page
        self._allow = b"GET, POST" if edge.settings.get else b"POST"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever fails becomes an answer with errors."""
        if scope["method"] in {"GET", "HEAD"} and not scope["query_string"]:
            request = Request(scope)
            if self._wants_page(request):
                await self._page(request)(scope, receive, send)
                return
        exchange = Exchange.of(scope, receive, send)
        try:
            await self._serve(exchange)
        except Disconnected:
            pass
        except Refused as refused:
            await _respond(exchange, refused.answer)
        except WrongForm as error:
            await exchange.respond(error.status, encode_answer(refusal(error)), error.headers)
        except AppError as error:
            answer = refusal(error)
            await _tell(exchange, status_of(answer.errors), answer.errors, encode_answer(answer))
        except Exception as error:
            wrapped = GraphQLError(str(error), original_error=error)
            answer = Answer(None, [present(wrapped, exchange.request_id)], is_executed=False)
            await exchange.respond(500, encode_answer(answer))

    async def _serve(self, exchange: Exchange) -> None:
        method = exchange.scope["method"]
        # The form comes first, so that every failure is told in it.
        allowed = accepted(exchange.headers.get("accept", ""))
        exchange.form = allowed.form or (Form.RESPONSE if allowed.stream else Form.LEGACY)
        if method == "POST":
            # Only JSON: a page of a stranger can post the other types of forms with the user's
            # cookies and without asking first (CSRF). GET is no way around it, it only reads.
            if not is_json(exchange.headers.get("content-type", "")):
                raise WrongForm(415, "Content-Type", "must be application/json in UTF-8")
        elif not self._edge.settings.get or method not in {"GET", "HEAD"}:
            raise self._method_not_allowed(method)
        if allowed.form is None and allowed.stream is None:
            raise WrongForm(406, "Accept", f"must allow {Form.RESPONSE} or {Form.LEGACY}")
        caller = await self._known_caller(exchange)
        if method == "POST":
            payload = read_json(await exchange.read_body(self._edge.body_bytes_max))
            if payload.__class__ is list:
                await self._serve_batch(exchange, payload, caller, allowed)
                return
        else:
            exchange.more_headers.append((b"cache-control", b"no-store"))
            payload = _parameters(exchange.scope["query_string"])
        await self._serve_one(exchange, self._edge.read_request(payload), caller, allowed)

    async def _known_caller(self, exchange: Exchange) -> Caller:
        """Resolve the caller and count the call; a credential that fails counts as nobody's."""
        caller = NOBODY
        try:
            try:
                caller = await self._edge.caller_of(exchange.headers, None)
            except Unauthenticated:
                await self._count(exchange, NOBODY)
                raise
            await self._count(exchange, caller)
        except AppError as error:
            self._edge.on_refused(
                RefusedCall(
                    caller,
                    exchange.remote_address,
                    "graphql",
                    exchange.request_id,
                    exchange.user_agent,
                ),
                error,
            )
            raise
        return caller

    async def _count(self, exchange: Exchange, caller: Caller) -> None:
        limits = self._edge.limits
        exchange.rate = await count_call(limits, caller, exchange.remote_address)

    async def _serve_one(
        self, exchange: Exchange, request: GraphQLRequest, caller: Caller, allowed: Accepted
    ) -> None:
        edge = self._edge
        ctx = edge.make_ctx(
            caller, exchange.request_id, exchange.remote_address, exchange.user_agent
        )
        context = GraphQLContext(ctx)
        prepared = edge.engine.prepare(request, context)
        if prepared.type is OperationType.MUTATION and exchange.scope["method"] != "POST":
            raise WrongForm(405, "method", "mutations come by POST", [(b"allow", b"POST")])
        if prepared.type is OperationType.SUBSCRIPTION or allowed.form is None:
            if allowed.stream is None:
                raise WrongForm(406, "Accept", _NO_STREAM)
            await self._streams.serve(
                exchange, allowed.stream, prepared, request.variables, context
            )
            return
        await _respond(exchange, await edge.engine.run(prepared, request.variables, context))

    async def _serve_batch(
        self, exchange: Exchange, members: list[Any], caller: Caller, allowed: Accepted
    ) -> None:
        if allowed.form is None:
            raise WrongForm(406, "Accept", f"must allow {Form.LEGACY} for a batch")
        edge = self._edge
        requests = batches.read_batch(members, edge.settings.batch_max, edge.read_request)

        for _ in requests[1:]:  # the first is counted already
            await self._count(exchange, caller)

        async def run(request: GraphQLRequest) -> Answer:
            ctx = edge.make_ctx(
                caller, exchange.request_id, exchange.remote_address, exchange.user_agent
            )
            context = GraphQLContext(ctx)
            prepared = edge.engine.prepare(request, context)
            if prepared.type is OperationType.SUBSCRIPTION:
                raise InvalidInput("body", "a batch must not hold subscriptions")
            return await edge.engine.run(prepared, request.variables, context)

        answers = await batches.run_all(requests, run)
        errors = [error for answer in answers for error in answer.errors]
        await _tell(exchange, 200, errors, encode([answer.body() for answer in answers]))

    def _wants_page(self, request: Request) -> bool:
        return not self._edge.settings.get or "text/html" in request.headers.get("accept", "")

    def _method_not_allowed(self, method: str) -> WrongForm:
        how = "POST, or GET for queries" if self._edge.settings.get else "POST"
        reason = f"{method} is not served here, operations come by {how}"
        return WrongForm(405, "method", reason, [(b"allow", self._allow)])


async def _respond(exchange: Exchange, answer: Answer) -> None:
    """Write the answer of the engine: 200 if anything ran, and always to legacy clients."""
    is_ok = answer.is_executed or exchange.form is Form.LEGACY
    status = 200 if is_ok else status_of(answer.errors)
    await _tell(exchange, status, answer.errors, encode_answer(answer))


async def _tell(
    exchange: Exchange, status: int, errors: Sequence[GraphQLError], body: bytes
) -> None:
    if errors:
        exchange.rate = exceeded(errors) or exchange.rate
    await exchange.respond(status, body, headers_of(status, errors) if errors else ())


def _parameters(query_string: bytes) -> dict[str, Any]:
    """Return the request map in a query string; raises InvalidInput."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_PARAMETERS_MAX,
            errors="strict",
        )
    except ValueError:
        raise InvalidInput("query string", "is not one of at most 20 fields in UTF-8") from None
    members: dict[str, Any] = dict(pairs)
    for name in _JSON_PARAMETERS:
        text = members.pop(name, "")
        if text:
            members[name] = _json_parameter(name, text)
    return members


def _json_parameter(name: str, text: str) -> Any:
    try:
        return read_json(text.encode())
    except InvalidInput as error:
        raise InvalidInput(name, f"{error.facts['reason']}") from None
