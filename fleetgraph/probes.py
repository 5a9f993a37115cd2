"""What orchestrators and Prometheus ask of a process: /, /health, /metrics."""

from __future__ import annotations

import time
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.clock import Clock

_STARTED = time.monotonic()


def probe_routes(clock: Clock) -> list[Route]:
    """Return the routes; they need no login and touch no other server."""

    async def root(request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "service": "fleetgraph",
                "version": version("fleetgraph"),
                "apiVersion": "v1",
                "apiBase": "/api/v1",
                "documentation": "/docs",
                "openapi": "/openapi.json",
                "graphql": "/graphql",
            }
        )

    async def health(request: Request) -> Response:
        return JSONResponse(
            {
                "status": "healthy",
                "timestamp": clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "uptime": round(time.monotonic() - _STARTED, 3),
            }
        )

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/", root), Route("/health", health), Route("/metrics", metrics)]
