"""Which web pages may call the API: origins from the settings, and the API's own.

There is no check of the Origin of writes. It would guard against requests to which browsers add
credentials by themselves, and we take none of those: no cookies, no HTTP authentication, no client
certificates, and a page that knows a token may use it. What is left to a stranger's page is what
anybody may do without a credential, without seeing the answer. The check would cost: a proxy that
changes Host would make our own pages strangers. A WebSocket is checked, because a browser lets
every page open one and read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetgraph.setting_sections import HttpSettings

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS: Final = (
    "Accept",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Batch-Id",
    "X-Device-API-Key",
    "X-Request-ID",
    "X-Tenant-ID",
)
ANSWER_HEADERS: Final = (
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)
PREFLIGHT_SECONDS: Final = 600


class CrossOrigin:
    """ASGI middleware: lets pages of known origins read what is answered below some paths.

    Credentials that browsers add by themselves stay out.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str], paths: tuple[str, ...]) -> None:
        self._app = app
        self._paths = paths
        self._shared = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        app = self._shared if scope["type"] == "http" and self._is_shared(scope) else self._app
        await app(scope, receive, send)

    def _is_shared(self, scope: Scope) -> bool:
        # Most calls come from programs, which send no origin.
        is_of_a_page = any(name == b"origin" for name, _ in scope["headers"])
        path: str = scope["path"]
        return is_of_a_page and path.startswith(self._paths)


def known_origins(settings: HttpSettings) -> tuple[str, ...]:
    """Return whose pages may open a WebSocket: the settings' origins, and our public one."""
    if not settings.public_url:
        return settings.origins
    url = urlsplit(settings.public_url)
    return (*settings.origins, f"{url.scheme}://{url.netloc}".lower())
