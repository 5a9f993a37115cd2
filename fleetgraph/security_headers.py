"""What every answer tells browsers, whoever made it: pages, JSON, errors, refused sockets."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FOR_ALL: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NOT_KEPT: Final = (b"cache-control", b"no-store")
_KEPT_BY_ITS_READER: Final = (b"cache-control", b"private, no-cache")
_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_FAILURE: Final = b"Something went wrong on our side\n"


class SecurityHeaders:
    """ASGI middleware. Nobody keeps what the API answers, unless the answer says otherwise.

    An answer with an ETag may be kept by who asked, to be asked for again.
    """

    def __init__(self, app: ASGIApp, *, api_paths: tuple[str, ...], hsts_seconds: int = 0) -> None:
        self._app = app
        self._api_paths = api_paths
        self._for_all = list(_FOR_ALL)
        if hsts_seconds:
            value = b"max-age=%d" % hsts_seconds
            self._for_all.append((b"strict-transport-security", value))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        is_started = False

        async def tell(message: Message) -> None:
            nonlocal is_started
            if message["type"] in _STARTS:
                is_started = True
                message["headers"] = self._told(scope, message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:
            # The framework's own answer to a failure is made outside of all middleware.
            if not is_started and scope["type"] == "http":
                headers = [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(_FAILURE)),
                ]
                await tell({"type": "http.response.start", "status": 500, "headers": headers})
                await send({"type": "http.response.body", "body": _FAILURE})
            raise

    def _told(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        names = {name for name, _ in headers}
        told = [*headers, *self._for_all]
        if b"content-security-policy" not in names:
            told.append(_POLICY)
        if b"cache-control" not in names and scope["path"].startswith(self._api_paths):
            told.append(_KEPT_BY_ITS_READER if b"etag" in names else _NOT_KEPT)
        return told
