"""The ASGI application: probes, GraphQL, REST, all on one set of services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import orjson
from graphql import GraphQLSchema
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.callers import Caller, system_caller
from fleetgraph.broker_callbacks import INTERNAL_PATH, MANAGEMENT_PATH, BrokerCallbacks
from fleetgraph.brokers import external_plan
from fleetgraph.credentials import caller_of, caller_of_connection
from fleetgraph.deferred import DeferredReports
from fleetgraph.graphql.allow_list import load_allow_list
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.endpoint import Endpoint
from fleetgraph.graphql.hint import hint, page_or_hint
from fleetgraph.graphql.http import Page
from fleetgraph.graphql.incoming import read_request
from fleetgraph.kept_answers import DatabaseKeptAnswers
from fleetgraph.origins import CrossOrigin, known_origins
from fleetgraph.pages import graphiql_page, page_routes
from fleetgraph.poll_memory import PollMemory
from fleetgraph.probes import probe_routes
from fleetgraph.refusals import Refusals
from fleetgraph.requests import RequestLog
from fleetgraph.rest_limits import rest_limiter
from fleetgraph.security_headers import SecurityHeaders
from fleetgraph.services import Services
from fleetgraph.setting_sections import GraphqlSettings
from fleetgraph.settings import Settings
from fleetgraph.state_cache import CALLER, StateCache
from fleetgraph.token_keys import jwks_route
from resolvers.broker_callbacks import KnownAccounts
from rest_compat.adapter import build_routes
from rest_compat.catalog import Catalog, load_catalog
from rest_compat.openapi import build_openapi
from schema.context import GraphQLContext
from schema.execution.engine import Engine
from schema.limits import Limits
from schema.root import schema

GRAPHQL_PATH: Final = "/graphql"
API_PATHS: Final = (GRAPHQL_PATH, "/api/", f"{MANAGEMENT_PATH}/", f"{INTERNAL_PATH}/")


class Ahead:
    """ASGI middleware: one path is answered before the router looks for it, as it is the busiest.

    Its endpoint turns whatever fails into an answer by itself.
    """

    def __init__(self, app: ASGIApp, path: str, endpoint: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        is_ours = scope["type"] == "http" and scope["path"] == self._path
        await (self._endpoint if is_ours else self._app)(scope, receive, send)


@cache
def the_catalog() -> Catalog:
    """Return the endpoints of the package, read once."""
    return load_catalog(schema._schema)  # noqa: SLF001  (Strawberry keeps graphql-core's schema there)


def openapi_of(catalog: Catalog, graph: GraphQLSchema) -> dict[str, Any]:
    """Return the OpenAPI document of the REST API."""
    return build_openapi(
        catalog,
        schema=graph,
        title="Fleetgraph REST API",
        version=version("fleetgraph"),
        description="Generated from GraphQL operations; each route names its own.",
    )


def openapi_text() -> str:
    """Return the document as it is checked in: sorted nowhere, indented, one line feed last."""
    catalog = the_catalog()
    document = openapi_of(catalog, catalog.schema)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def create_app(services: Services, deferred: DeferredReports, settings: Settings) -> Starlette:
    """Return the application; the caller opens and closes `services`.

    `app.state.broker_callbacks` is a worker, to run beside it;
    `app.state.graphql` is its Endpoint, to be interrupted and stopped with the server;
    `app.state.refusals` is to be flushed now and then, and last of all; `app.state.polls` is
    remembered polls, nothing without its workers. Raises BadSettings for an allow-list that cannot
    be used.
    """
    refusals = Refusals(services.context, services.clock)
    edge = _edge(services, settings, refusals)
    endpoint = Endpoint(edge, page=_page(settings.graphql))
    polls = PollMemory()

    async def rest_caller(request: Request) -> Caller:
        caller = await caller_of(services.context(), request.headers)
        setattr(request.state, CALLER, caller)
        return caller

    def graphql_context(
        caller: Caller, request_id: str, remote_address: str, user_agent: str
    ) -> GraphQLContext:
        return GraphQLContext(services.context(caller, request_id, remote_address, user_agent))

    callbacks = _callbacks(services, settings)
    catalog = the_catalog()
    openapi = openapi_of(catalog, catalog.schema)

    async def openapi_document(request: Request) -> Response:
        return JSONResponse(openapi)

    app = Starlette(
        routes=[
            *endpoint.routes(GRAPHQL_PATH),
            *probe_routes(services.clock),
            *page_routes(),
            jwks_route(services.tokens),
            Route("/openapi.json", openapi_document),
            *callbacks.routes(),
            *build_routes(
                catalog,
                engine=edge.engine,
                context_for=graphql_context,
                caller_of=refusals.caller_of(rest_caller),
                new_request_id=lambda: services.ids.uuid().hex,
                limiter=refusals.limiter(rest_limiter(services.limits)),
                defer=deferred.take,
                kept=DatabaseKeptAnswers(services.context),
                watch=edge.presence.enter,
                body_limit_bytes=settings.http.body_bytes_max,
            ),
        ],
        middleware=[
            Middleware(RequestLog, ids=services.ids),
            Middleware(
                SecurityHeaders, api_paths=API_PATHS, hsts_seconds=settings.http.hsts_seconds
            ),
            *_shared_with(settings.http.origins),
            Middleware(Ahead, path=GRAPHQL_PATH, endpoint=endpoint.http),
            Middleware(StateCache, memory=polls, limits=services.limits),
        ],
    )
    app.router.redirect_slashes = False  # it would redirect to wherever `Host` says
    app.state.graphql = endpoint
    app.state.broker_callbacks = callbacks
    app.state.refusals = refusals
    app.state.polls = polls
    return app


def limits_of(settings: GraphqlSettings) -> Limits:
    """Return what one operation may ask for, as the settings say."""
    return Limits(
        depth_max=settings.depth_max,
        aliases_max=settings.aliases_max,
        fields_max=settings.fields_max,
        root_fields_max=settings.root_fields_max,
        tokens_max=settings.tokens_max,
        cost_max=settings.cost_max,
        agent_cost_max=settings.agent_cost_max,
        seconds_max=settings.operation_seconds_max,
        documents_max=settings.documents_max,
        introspection=settings.introspection,
    )


def _callbacks(services: Services, settings: Settings) -> BrokerCallbacks:
    """Return what answers brokers; the one that the settings name asks about our own login too."""
    secret = settings.mqtt.callback_secret
    platform = [external_plan(settings).platform] if secret and settings.mqtt.url else []
    return BrokerCallbacks(
        lambda: services.context(system_caller(0), "broker"),
        KnownAccounts(platform),
        None if secret is None else secret.get_secret_value(),
    )


def _shared_with(origins: Sequence[str]) -> list[Middleware]:
    """Return what must stand before Ahead, or nothing where no page of others may call."""
    paths = (*API_PATHS, "/openapi.json")
    return [Middleware(CrossOrigin, origins=origins, paths=paths)] if origins else []


def _page(settings: GraphqlSettings) -> Page:
    """Return what the endpoint shows: GraphiQL asks for the schema, which no allow-list has."""
    is_ide = settings.ide and settings.allow_list is None
    return page_or_hint(graphiql_page) if is_ide else hint


def _edge(services: Services, settings: Settings, refusals: Refusals) -> Edge:
    async def caller_of_call(
        headers: Mapping[str, str], parameters: Mapping[str, object] | None
    ) -> Caller:
        return await caller_of_connection(services.context(), headers, parameters)

    path = settings.graphql.allow_list
    return Edge(
        engine=Engine(schema, limits_of(settings.graphql), on_error=refusals.note_answer),
        settings=settings.graphql,
        caller_of=caller_of_call,
        make_ctx=services.context,
        read_request=load_allow_list(path, schema._schema).read_request if path else read_request,  # noqa: SLF001
        clock=services.clock,
        body_bytes_max=settings.graphql.body_bytes_max,
        origins=known_origins(settings.http),
        limits=services.limits,
        on_refused=refusals.note_error,
    )
