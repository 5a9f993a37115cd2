"""The ASGI application: probes, GraphQL, REST, all on one set of services."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import orjson
from graphql import GraphQLSchema
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.callers import Caller
from fleetgraph.credentials import caller_of, caller_of_socket
from fleetgraph.deferred import DeferredReports
from fleetgraph.graphql_app import GraphQLApp, graphql_routes
from fleetgraph.probes import probe_routes
from fleetgraph.requests import RequestLog
from fleetgraph.services import Services
from rest_compat.adapter import build_routes
from rest_compat.catalog import Catalog, load_catalog
from rest_compat.openapi import build_openapi
from schema.context import GraphQLContext
from schema.root import schema


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
    graph = schema._schema  # noqa: SLF001
    document = openapi_of(load_catalog(graph), graph)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def create_app(services: Services, deferred: DeferredReports, *, body_bytes_max: int) -> Starlette:
    """Return the application; the caller opens and closes `services`."""

    async def graphql_caller(
        connection: HTTPConnection, parameters: Mapping[str, Any] | None
    ) -> Caller:
        ctx = services.context()
        if connection.scope["type"] == "websocket":
            return await caller_of_socket(ctx, connection, parameters)
        return await caller_of(ctx, connection.headers)

    async def rest_caller(request: Request) -> Caller:
        return await caller_of(services.context(), request.headers)

    def graphql_context(caller: Caller, request_id: str, remote_address: str) -> GraphQLContext:
        return GraphQLContext(services.context(caller, request_id, remote_address))

    graph = schema._schema  # noqa: SLF001  (Strawberry keeps graphql-core's schema there)
    catalog = load_catalog(graph)
    openapi = openapi_of(catalog, graph)

    async def openapi_document(request: Request) -> Response:
        return JSONResponse(openapi)

    return Starlette(
        routes=[
            *probe_routes(services.clock),
            Route("/openapi.json", openapi_document),
            *graphql_routes(
                GraphQLApp(schema, caller_of=graphql_caller, make_ctx=services.context)
            ),
            *build_routes(
                catalog,
                schema=graph,
                context_for=graphql_context,
                caller_of=rest_caller,
                new_request_id=lambda: services.ids.uuid().hex,
                defer=deferred.take,
                body_limit_bytes=body_bytes_max,
            ),
        ],
        middleware=[Middleware(RequestLog, ids=services.ids)],
    )
