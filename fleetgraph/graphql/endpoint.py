"""The endpoint put together: one engine, and every transport on it."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute

from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.encoding import encode_answer
from fleetgraph.graphql.http import HttpEndpoint, Page
from fleetgraph.graphql.socket import SocketEndpoint
from fleetgraph.graphql.streams import Streams
from schema.execution.shared import LiveSubscriptions


class Endpoint:
    """The GraphQL endpoint of a process."""

    def __init__(self, edge: Edge, *, page: Page) -> None:
        settings = edge.settings
        self.edge = edge
        self.live = LiveSubscriptions(
            edge.engine,
            encode_answer,
            queue_events=settings.client_queue_events,
            slow_seconds=settings.slow_client_seconds,
        )
        self.streams = Streams(edge, self.live)
        self.sockets = SocketEndpoint(edge, self.live)
        self.http = HttpEndpoint(edge, self.streams, page)

    def routes(self, path: str = "/graphql") -> list[BaseRoute]:
        """Return both routes of the endpoint; a mount would redirect POST."""
        return [
            Route(path, self.http, name="graphql"),
            WebSocketRoute(path, self.sockets, name="graphql_ws"),
        ]

    def interrupt(self) -> None:
        """End the streams, because the server is about to stop; it closes sockets itself."""
        self.streams.interrupt()

    async def stop(self) -> None:
        """Close what subscriptions read from, once the server has stopped."""
        await self.live.stop()
