"""In front of the generated endpoint: polls of agents that have the newest target state already.

Answers from memory what the endpoint would answer; everything else goes on to it, and what it
then says is remembered. It decides alone who may poll, and what a poll gets.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.callers import Caller
from core.errors import RateLimited
from core.ids import secret_hash
from core.rate_limits import RateLimiter, count_call
from fleetgraph.poll_memory import Poll, PollMemory
from resolvers.device_callers import DEVICE_KEY_PURPOSE
from rest_compat.etags import etag_matches
from rest_compat.problem import rate_headers

CALLER: Final = "caller"
"""Where in the scope's `state` the application tells who called."""

_START: Final = "/api/v1/device/"
_END: Final = "/state"
_PATH_CHARS: Final = len(_START) + 36 + len(_END)
_SIZES: Final = {200: b"content-length", 304: b"x-content-length"}
_EMPTY: Final[Message] = {"type": "http.response.body", "body": b""}

Headers = list[tuple[bytes, bytes]]


class StateCache:
    """ASGI middleware, last before the router."""

    def __init__(self, app: ASGIApp, memory: PollMemory, limits: RateLimiter) -> None:
        self._app = app
        self._memory = memory
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        digest = _digest_of_poll(scope)
        if digest is None:
            await self._app(scope, receive, send)
            return
        headers = await self._not_modified(digest, scope)
        if headers is None:
            await self._app(scope, receive, self._noting(digest, scope, send))
            return
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send(_EMPTY)

    async def _not_modified(self, digest: bytes, scope: Scope) -> Headers | None:
        """Return the headers of a 304; None when the endpoint has to say."""
        validator = _header(scope, b"if-none-match")
        poll = self._memory.find(digest) if validator else None
        if poll is None or poll.path != scope["path"] or not etag_matches(validator, poll.etag):
            return None
        try:
            state = await count_call(self._limits, poll.caller, "", is_device_call=True)
        except RateLimited:
            return None  # who has no call left uses up nothing by asking twice
        assert poll.caller.agent_id is not None
        self._memory.see(poll.caller.agent_id)
        return [
            (b"etag", f'"{poll.etag}"'.encode()),
            (b"x-content-length", poll.size),
            *((name.lower().encode(), text.encode()) for name, text in rate_headers(state).items()),
            (b"x-request-id", scope["state"]["request_id"].encode()),
        ]

    def _noting(self, digest: bytes, scope: Scope, send: Send) -> Send:
        """Return `send` that remembers what the endpoint answers."""
        generation, now = self._memory.generation, self._memory.now

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                poll = _poll_in(message, digest, scope, now)
                if poll is not None:
                    self._memory.put(poll, generation)
            await send(message)

        return noted


def _digest_of_poll(scope: Scope) -> bytes | None:
    """Return the digest of the device key that polls; None when this is no plain poll."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    path = scope["path"]
    if len(path) != _PATH_CHARS or not (path.startswith(_START) and path.endswith(_END)):
        return None
    key = _header(scope, b"x-device-api-key")
    return secret_hash(DEVICE_KEY_PURPOSE, key) if key else None


def _poll_in(message: Message, digest: bytes, scope: Scope, now: float) -> Poll | None:
    """Return what an answer of the endpoint says of the next polls; None when it says nothing."""
    size_header = _SIZES.get(message["status"])
    caller: Any = scope["state"].get(CALLER)
    if size_header is None or not isinstance(caller, Caller) or caller.agent_id is None:
        return None
    if scope["path"] != f"{_START}{caller.agent_uuid}{_END}":
        return None
    headers = dict(message["headers"])
    etag, size = headers.get(b"etag", b"").decode("latin-1").strip('"'), headers.get(size_header)
    if not etag or size is None:
        return None
    return Poll(digest, caller, scope["path"], etag, size, checked_at=now, used_at=now)


def _header(scope: Scope, wanted: bytes) -> str:
    """Return the first header of this name, empty when there is none."""
    return next((v for name, v in scope["headers"] if name == wanted), b"").decode("latin-1")
