"""One HTTP request on its way through the endpoint, and how its answer is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Receive, Scope, Send

from core.errors import InvalidInput, PayloadTooLarge
from core.ids import RandomIds, clean_id
from core.inflating import inflate
from core.rate_limits import RateState
from fleetgraph.graphql.encoding import rate_headers
from fleetgraph.graphql.negotiation import Form

Headers = Sequence[tuple[bytes, bytes]]

_CONTENT_TYPES: Final = {form: f"{form.value}; charset=utf-8".encode() for form in Form}
_THREAD_FROM_BYTES: Final = 128 * 1024
_USER_AGENT_CHARS_MAX: Final = 300


class Disconnected(Exception):
    """The client went away; nobody reads an answer."""


class WrongForm(InvalidInput):
    """A request that HTTP itself has a status for: 405, 406 or 415."""

    def __init__(self, status: int, field: str, reason: str, headers: Headers = ()) -> None:
        super().__init__(field, reason)
        self.status = status
        self.headers = headers


@dataclass(slots=True)
class Exchange:
    """A request, its headers by name in lower case, and the form its answer takes.

    `rate` is where the caller stands after this call, for the answer's headers.
    """

    scope: Scope
    receive: Receive
    send: Send
    request_id: str
    headers: Mapping[str, str]
    form: Form = Form.LEGACY
    more_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    rate: RateState | None = None

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> Exchange:
        """Return the exchange of an ASGI call."""
        headers = headers_of(scope)
        return cls(scope, receive, send, request_id_of(scope, headers), headers)

    @property
    def remote_address(self) -> str:
        """Where the request came from; empty when the server does not know."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def user_agent(self) -> str:
        """What the client calls itself."""
        return user_agent_of(self.headers)

    async def read_body(self, limit_bytes: int) -> bytes:
        """Return the body without its compression.

        Raises PayloadTooLarge, InvalidInput for a broken one, Disconnected.
        """
        stated = self.headers.get("content-length", "")
        if stated.isdecimal() and int(stated[:19]) > limit_bytes:
            raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
        parts: list[bytes] = []
        room = limit_bytes
        is_more = True
        while is_more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            room -= len(part)
            if room < 0:
                raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
            parts.append(part)
            is_more = message.get("more_body", False)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        encoding = self.headers.get("content-encoding")
        if not encoding:
            return body
        if len(body) >= _THREAD_FROM_BYTES:
            return await asyncio.to_thread(inflate, body, encoding, limit_bytes)
        return inflate(body, encoding, limit_bytes)

    async def respond(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Write the whole answer."""
        start = [
            (b"content-type", _CONTENT_TYPES[self.form]),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id.encode()),
            *rate_headers(self.rate),
            *self.more_headers,
            *headers,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        await self.send({"type": "http.response.body", "body": body})


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by name in lower case; one that came several times is joined."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def request_id_of(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the id that a middleware or the caller gave the request, else a new one."""
    given = scope.get("state", {}).get("request_id")
    if isinstance(given, str):
        return given
    return clean_id(headers.get("x-request-id", "")) or RandomIds().uuid().hex


def user_agent_of(headers: Mapping[str, str]) -> str:
    """Return what a client calls itself, cut to what goes into the record."""
    return headers.get("user-agent", "")[:_USER_AGENT_CHARS_MAX]
