"""uvicorn, run inside our own event loop and stopped by us."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from core.errors import Conflict

GRACE_SECONDS = 1


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program, which also has other things to end."""
        yield


class HttpServer:
    """Serves an application until stopped."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=1024 * 1024,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            date_header=True,
            proxy_headers=False,
        )
        self._server = _Server(self._config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket] | None = None) -> None:
        """Return once requests are accepted; raises Conflict when the port is taken."""
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
