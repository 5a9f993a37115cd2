"""uvicorn, run inside our own event loop and stopped by us."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from core.errors import Conflict
from fleetgraph.graphql.http_transport import CuttableProtocol
from fleetgraph.graphql.transport import WireProtocol
from fleetgraph.graphql.wheel import Wheel

GRACE_SECONDS = 1
MESSAGE_BYTES_MAX = 1024 * 1024
BACKLOG = 4096
"""Connections that may wait to be accepted: after a restart all clients come back at once."""


def uvicorn_config(app: ASGIApp, **changes: Any) -> uvicorn.Config:
    """Return how the program runs uvicorn; `changes` are uvicorn's options."""
    options: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "backlog": BACKLOG,
        "http": partial(CuttableProtocol, wheel=Wheel()),
        "ws": WireProtocol,
        "ws_max_size": MESSAGE_BYTES_MAX,
        "ws_per_message_deflate": False,  # docs/adr/0010
        "ws_ping_interval": None,  # the endpoint pings, with one timer for all
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": GRACE_SECONDS,
        "server_header": False,
        "date_header": True,
        "proxy_headers": False,
    }
    return uvicorn.Config(app, **(options | changes))


def behind_proxies(trusted: Sequence[str]) -> dict[str, Any]:
    """Return the options that make X-Forwarded-For and -Proto believed from these alone.

    Of the addresses in the header counts the last that is not trusted: what stands before it
    comes from outside.
    """
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": list(trusted)}


def settle_collector() -> None:
    """Make Python's search for cycles rare and short.

    What exists once the program has started (the schema above all) stays to the end. Searching it
    for cycles again and again stopped the process for 100 to 300 ms each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program, which also has other things to end."""
        yield


class HttpServer:
    """Serves an application until stopped."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self._config = uvicorn_config(
            app,
            host=host,
            port=port,
            ws_max_size=message_bytes_max,
            **behind_proxies(trusted_proxies),
        )
        self._server = _Server(self._config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket] | None = None) -> None:
        """Return once requests are accepted; raises Conflict when the port is taken."""
        settle_collector()
        self._task = asyncio.create_task(self._serve(sockets), name="http server")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise self._port_is_taken()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Let requests under way finish for a moment, then end."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None

    async def _serve(self, sockets: list[socket.socket] | None) -> None:
        try:
            await self._server.serve(sockets)
        except SystemExit as error:  # uvicorn's way of saying that it cannot listen
            raise self._port_is_taken() from error

    def _port_is_taken(self) -> Conflict:
        return Conflict(
            f"Port {self._config.port} on {self._config.host} is taken by another program; "
            "stop it, or choose another port",
            port=self._config.port,
        )
