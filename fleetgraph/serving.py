"""The API of a process: the HTTP server and the small tasks that live beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from core.context import Context
from fleetgraph import deferred, refusals
from fleetgraph.app import create_app
from fleetgraph.deferred import DeferredReports
from fleetgraph.graphql.endpoint import Endpoint
from fleetgraph.poll_memory import PollMemory, poll_workers
from fleetgraph.presence import presence_workers
from fleetgraph.refusals import Refusals
from fleetgraph.server import HttpServer
from fleetgraph.services import Services
from fleetgraph.settings import Settings
from resolvers import outages
from workers.supervisor import Periodic, Supervisor

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serve_api(services: Services, settings: Settings, port: int) -> AsyncIterator[None]:
    """Answer requests on `port` while inside the block."""
    system = services.system()
    spool = DeferredReports(services.data_dir / "deferred", services.clock)
    app = create_app(services, spool, settings)
    endpoint: Endpoint = app.state.graphql
    refused: Refusals = app.state.refusals
    polls: PollMemory = app.state.polls
    server = HttpServer(
        app,
        settings.http.host,
        port,
        message_bytes_max=settings.graphql.body_bytes_max,
        trusted_proxies=settings.http.trusted_proxies,
    )
    await server.start()
    supervisor = Supervisor(
        [
            Periodic("http beat", outages.BEAT_SECONDS, partial(_beat, system)),
            Periodic("deferred", deferred.PERIOD_SECONDS, partial(spool.step, system)),
            Periodic("refusals", refusals.PERIOD_SECONDS, refused.flush),
            app.state.broker_callbacks,
            *presence_workers(endpoint.edge.presence, system),
            *poll_workers(polls, system),
        ]
    )
    supervisor.start()
    try:
        yield
    finally:
        await supervisor.stop()
        endpoint.interrupt()
        await server.stop()
        await endpoint.stop()
        await refused.flush()
        await polls.flush(system)


async def _beat(system: Context) -> None:
    away = await outages.beat(system)
    if away is not None:
        _log.warning(
            "the API was away for %.0f s; sessions of agents that it may have muted are dropped",
            away.total_seconds(),
        )
