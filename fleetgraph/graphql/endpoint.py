"""The endpoint put together: its routes, one for HTTP and one for WebSockets."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.http import HttpEndpoint, Page


def graphql_routes(
    edge: Edge, *, page: Page, sockets: ASGIApp, path: str = "/graphql"
) -> list[BaseRoute]:
    """Return both routes of the endpoint; a mount would redirect POST."""
    return [
        Route(path, HttpEndpoint(edge, page), name="graphql"),
        WebSocketRoute(path, sockets, name="graphql_ws"),
    ]
