"""Serves the catalog: one Starlette route per path, each call executed in process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from core.errors import InvalidInput, NotFound
from core.ids import clean_id
from rest_compat.calls import Call, CallerOf, ContextFor, Defer, Edge, EtagOf, Limiter, answer
from rest_compat.catalog import Catalog
from rest_compat.endpoints import Endpoint
from rest_compat.executing import Engine, Operation
from rest_compat.kept_answers import KeptAnswers
from rest_compat.problem import Kind, problem_response
from rest_compat.streams import Watch, unwatched

_log: Final = logging.getLogger("fleetgraph.rest")
_API: Final = "/api/v1"
_CREDENTIALS: Final = ("authorization", "x-device-api-key")
_METHOD_NOT_ALLOWED: Final = Kind(405, "Method not allowed", "Method not allowed")


def build_routes(
    catalog: Catalog,
    *,
    engine: Engine,
    context_for: ContextFor,
    caller_of: CallerOf,
    new_request_id: Callable[[], str],
    limiter: Limiter | None = None,
    defer: Defer | None = None,
    etag_of: EtagOf | None = None,
    kept: KeptAnswers | None = None,
    watch: Watch = unwatched,
    body_limit_bytes: int = 16 * 1024 * 1024,
    log: logging.Logger = _log,
) -> list[Route]:
    """Return the routes of every endpoint, then one that answers 404 to the rest of /api/v1.

    More specific paths come first.
    """
    edge = Edge(
        catalog.schema,
        context_for,
        caller_of,
        new_request_id,
        limiter,
        defer,
        etag_of,
        kept,
        watch,
        body_limit_bytes,
        log,
    )
    shapes: dict[str, list[Served]] = {}
    for endpoint in catalog.endpoints:
        served = Served(endpoint, Operation(engine, endpoint))
        shapes.setdefault(endpoint.shape, []).append(served)
    routes = []
    for shape in sorted(shapes, key=_specific_first):
        first = shapes[shape][0].endpoint
        routes.append(Route(first.path, _Path(edge, shapes[shape]), name=first.name))
    unknown = _UnknownPath(new_request_id)
    return [*routes, Route(_API, unknown), Route(f"{_API}/{{path:path}}", unknown)]


def _specific_first(shape: str) -> list[tuple[bool, str]]:
    return [(part == "{}", part) for part in shape.split("/")]


def request_id_of(request: Request, new_request_id: Callable[[], str]) -> str:
    """Return the caller's X-Request-ID without what does not belong in one, else a new id."""
    return clean_id(request.headers.get("x-request-id", "")) or new_request_id()


class Served(NamedTuple):
    """An endpoint and the operation behind it, ready to run."""

    endpoint: Endpoint
    operation: Operation


class _Path:
    """The endpoints of one path, by method, as an ASGI application."""

    def __init__(self, edge: Edge, served: Sequence[Served]) -> None:
        self._edge = edge
        self._anonymous = {s.endpoint.method: s for s in served if s.endpoint.is_anonymous}
        known = {s.endpoint.method: s for s in served if not s.endpoint.is_anonymous}
        self._by_method = {**self._anonymous, **known}
        methods = {*self._by_method} | ({"HEAD"} if "GET" in self._by_method else set())
        self._allow = ", ".join(sorted(methods))

    def _served(self, request: Request) -> Served | None:
        method = "GET" if request.method == "HEAD" else request.method
        is_known = any(name in request.headers for name in _CREDENTIALS)
        found = None if is_known else self._anonymous.get(method)
        return found or self._by_method.get(method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = request_id_of(request, self._edge.new_request_id)
        response = await self._answer(request, request_id)
        response.headers["X-Request-ID"] = request_id
        if request.method == "HEAD":
            response.body = b""  # Content-Length stays that of the body
        await response(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Response:
        served = self._served(request)
        if served is None:
            reason = f"{request.url.path} answers to {self._allow}"
            return problem_response(
                InvalidInput("method", reason),
                request_id=request_id,
                kind=_METHOD_NOT_ALLOWED,
                headers={"Allow": self._allow},
            )
        path = {name: str(text) for name, text in request.path_params.items()}
        return await answer(self._edge, Call(*served, request, request_id, path))


class _UnknownPath:
    """What answers where no endpoint is."""

    def __init__(self, new_request_id: Callable[[], str]) -> None:
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = request_id_of(request, self._new_request_id)
        response = problem_response(
            NotFound("route", f"{request.method} {request.url.path}"),
            request_id=request_id,
            more={"hint": "GET /openapi.json lists every route"},
        )
        response.headers["X-Request-ID"] = request_id
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)
