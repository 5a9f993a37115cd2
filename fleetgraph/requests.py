"""What every HTTP request goes through: its id, its log line, its count."""

from __future__ import annotations

import logging
import time
from functools import lru_cache

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import metrics
from core.ids import Ids, clean_id
from fleetgraph.logs import bind_request

_log = logging.getLogger("fleetgraph.http")

HEADER = b"x-request-id"
SLOW_SECONDS = 1.0
GONE = 499
"""Noted for requests that were never answered, as proxies do; no client ever sees it."""


@lru_cache(512)
def _requests(method: str, status: int) -> Counter:
    return metrics.HTTP_REQUESTS.labels(method, str(status))


class RequestLog:
    """ASGI middleware. The id comes from the caller or is made here, and everyone below sees it."""

    def __init__(self, app: ASGIApp, ids: Ids) -> None:
        self._app = app
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        bind_request(request_id)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        is_noted = False

        async def note(message: Message) -> None:
            nonlocal is_noted
            if message["type"] == "http.response.start":
                # Not at the end: a stream that is open for hours is not slow.
                self._note(scope, message["status"], time.perf_counter() - started)
                is_noted = True
            await send(message)

        status = 500
        try:
            await self._app(scope, receive, note)
            status = GONE  # who asked did not wait for an answer
        finally:
            if not is_noted:
                self._note(scope, status, time.perf_counter() - started)

    def _request_id(self, scope: Scope) -> str:
        headers = scope["headers"]
        given = next((value for name, value in headers if name == HEADER), b"").decode("latin-1")
        request_id = clean_id(given) if given else ""
        if not request_id:
            request_id = self._ids.secret_hex(16)
        if request_id != given:
            others = [each for each in headers if each[0] != HEADER] if given else headers
            scope["headers"] = [*others, (HEADER, request_id.encode())]
        scope.setdefault("state", {})["request_id"] = request_id
        return request_id

    @staticmethod
    def _note(scope: Scope, status: int, seconds: float) -> None:
        _requests(scope["method"], status).inc()
        metrics.HTTP_SECONDS.observe(seconds)
        loud = status >= 500 or seconds > SLOW_SECONDS
        # The query string may hold what should not be in a log, so only the path is written.
        _log.log(
            logging.WARNING if loud else logging.DEBUG,
            "%s %s answered %d in %.0f ms",
            scope["method"],
            scope["path"],
            status,
            seconds * 1000,
        )
