"""The GraphQL endpoint: POST over HTTP, everything over graphql-transport-ws."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, cast

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter as StrawberryWebSocket
from strawberry.asgi import GraphQL
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema import Schema
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage
from strawberry.types.unset import UNSET, UnsetType

from core.callers import NOBODY, Caller
from core.context import Context
from core.errors import AppError, ErrorCode
from core.ids import RandomIds
from schema.context import GraphQLContext
from schema.errors import plain

CallerOf = Callable[[Mapping[str, str], Mapping[str, object] | None], Awaitable[Caller]]
"""Turns headers, or what a WebSocket introduced itself with, into a caller; raises AppError."""

MakeContext = Callable[[Caller, str, str], Context]
"""Makes a context from caller, request id and remote address."""

TRY_AGAIN_LATER: Final = 1013
FORBIDDEN: Final = 4403
REQUEST_ID_CHARS_MAX: Final = 128

_STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
_TRANSIENT: Final = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE})

_HINT: Final = (
    "This is the GraphQL endpoint. Send operations as POST with a JSON body "
    '{"query": "…", "variables": {…}}, or open a WebSocket with the protocol '
    f"{GRAPHQL_TRANSPORT_WS_PROTOCOL}."
)
_HINT_PAGE: Final = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fleetgraph GraphQL</title>
<body style="font-family: system-ui; max-width: 46rem; margin: 3rem auto; line-height: 1.5">
<h1>Fleetgraph GraphQL</h1>
<p>{_HINT}</p>
<pre>curl URL -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer TOKEN' \\
  -d '{{"query": "{{ agents {{ totalCount nodes {{ name isOnline }} }} }}"}}'</pre>
<p>The mutation <code>login</code> gives a token. REST is described at
<a href="/openapi.json">/openapi.json</a>.</p>
</body></html>
"""


class _WebSocketAdapter(StrawberryWebSocket):
    """Sends text frames: a browser does not parse binary ones."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        try:
            await self.ws.send_text(_encode(message).decode())
        except WebSocketDisconnect as error:
            raise WebSocketDisconnected from error


class _TransportHandler(BaseGraphQLTransportWSHandler[GraphQLContext, None]):
    """Closes a connection whose credential fails, with a code that says whether to try again."""

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        try:
            await super().handle_connection_init(message)
        except AppError as error:
            code = TRY_AGAIN_LATER if error.code in _TRANSIENT else FORBIDDEN
            # A close frame carries at most 123 bytes of reason.
            reason = error.message.encode()[:120].decode(errors="ignore")
            await self.websocket.close(code=code, reason=reason)


class GraphQLApp(GraphQL[GraphQLContext, None]):
    """Strawberry's ASGI application with our callers, contexts and JSON."""

    websocket_adapter_class = _WebSocketAdapter
    graphql_transport_ws_handler_class = _TransportHandler

    def __init__(
        self,
        schema: Schema,
        *,
        caller_of: CallerOf,
        make_ctx: MakeContext,
        allowed_origins: Sequence[str] = (),
    ) -> None:
        super().__init__(
            schema,
            # The hook for the IDE answers the hint.
            graphql_ide="graphiql",
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            allowed_origins=allowed_origins,
        )
        self._caller_of = caller_of
        self._make_ctx = make_ctx

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a credential that fails is told as a GraphQL error with its HTTP status."""
        try:
            await super().__call__(scope, receive, send)
        except AppError as error:
            if scope["type"] != "http":
                raise
            await _refusal(error)(scope, receive, send)

    async def get_context(
        self, request: Request | WebSocket, response: Response | WebSocket
    ) -> GraphQLContext:
        """Return the context of a request; a WebSocket is nobody until it introduces itself."""
        request_id = request_id_of(request)
        if isinstance(request, WebSocket):
            return _SocketContext(self._ctx(request, NOBODY, request_id), request)
        caller = await self._caller_of(request.headers, None)
        return GraphQLContext(self._ctx(request, caller, request_id))

    async def on_ws_connect(self, context: GraphQLContext) -> UnsetType | dict[str, object] | None:
        """Sign the connection in with what `connection_init` brought, or with its headers."""
        assert isinstance(context, _SocketContext)
        caller = await self._caller_of(context.socket.headers, context.connection_params)
        context.sign_in(self._ctx(context.socket, caller, context.ctx.request_id))
        return cast("UnsetType", UNSET)  # no payload at all; null would offend clients

    async def render_graphql_ide(self, request: Request) -> Response:
        """Say what this address is for."""
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_HINT_PAGE)
        return JSONResponse({"message": _HINT})

    def encode_json(self, data: object) -> bytes:
        """Return JSON; NaN and infinities become null."""
        return _encode(data)

    def decode_json(self, data: str | bytes) -> object:
        """Return what the JSON says."""
        return orjson.loads(data)

    def _ctx(self, connection: HTTPConnection, caller: Caller, request_id: str) -> Context:
        client = connection.client
        return self._make_ctx(caller, request_id, client.host if client else "")


class _SocketContext(GraphQLContext):
    def __init__(self, ctx: Context, socket: WebSocket) -> None:
        super().__init__(ctx)
        self.socket = socket


def request_id_of(connection: HTTPConnection) -> str:
    """Return the id that a middleware or the caller gave the request, else a new one."""
    given = connection.scope.get("state", {}).get("request_id")
    if not isinstance(given, str):
        given = connection.headers.get("x-request-id", "")
    cleaned = "".join(each for each in given if each.isalnum() or each in "-_.:/+=@")
    return cleaned[:REQUEST_ID_CHARS_MAX] or RandomIds().uuid().hex


def _refusal(error: AppError) -> Response:
    facts = {key: plain(value) for key, value in error.facts.items()}
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code, **facts}}]}
    headers = {}
    if error.code is ErrorCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    seconds = error.facts.get("retry_after_seconds")
    if isinstance(seconds, int):
        headers["Retry-After"] = str(seconds)
    return Response(
        _encode(body),
        status_code=_STATUS.get(error.code, 400),
        media_type="application/json",
        headers=headers,
    )


def _encode(data: object) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


__all__ = ["CallerOf", "GraphQLApp", "MakeContext", "request_id_of"]
