"""Subscriptions as answers: server-sent events, or one JSON text per line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from math import inf
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from core.callers import Caller
from core.clock import SystemClock
from core.errors import AppError, Unauthenticated
from rest_compat.answers import NDJSON_MEDIA_TYPE, written
from rest_compat.endpoints import Answering, Codec, Endpoint
from rest_compat.problem import problem_response
from rest_compat.shaping import shaped, value_of

SSE_MEDIA_TYPE: Final = "text/event-stream"
SILENCE_SECONDS: Final = 15.0
"""After so long without an event a comment, or an empty line, shows that the stream lives."""

SEND_SECONDS: Final = 10.0
"""How long a client may take nothing before its stream is cut."""

TRANSPORT: Final = "fleetgraph.transport"
"""The name under which a server hands the connection's transport to the application, in the
scope's extensions: ASGI has no word for cutting a connection whose client does not read."""

ACCESS_ENDED: Final = "Your access has ended"

Watch = Callable[[Caller, Callable[[], None]], Callable[[], None]]
"""Calls the function once the caller's access has ended; what it returns takes that back."""

_LINE_BREAKS: Final = re.compile(r"[\r\n\0]+")


def unwatched(caller: Caller, end: Callable[[], None]) -> Callable[[], None]:
    """Watch nothing."""
    return lambda: None


def streamed(
    endpoint: Endpoint,
    events: AsyncIterator[Mapping[str, Any]],
    request: Request,
    request_id: str,
    caller: Caller,
    watch: Watch,
) -> StreamingResponse:
    """Return the answer that follows a subscription until it, the client or the access ends.

    An error is the last thing told: the event `error`, or the last line, with a problem. A
    subscription that ends by itself ends with the event `complete`. Who reads nothing is cut.
    """
    is_sse = endpoint.answering.codec is Codec.SSE
    return _Stream(
        request.scope.get("extensions", {}).get(TRANSPORT),
        _frames(endpoint, events, request_id, caller, watch),
        media_type=SSE_MEDIA_TYPE if is_sse else NDJSON_MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Stream(StreamingResponse):
    """An answer whose connection is cut when a piece of it is not taken in time."""

    def __init__(self, transport: asyncio.Transport | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transport = transport

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await send(message)
            except TimeoutError:
                if self._transport is None:
                    raise
                self._transport.abort()
                await send(message)  # returns once the server knows of the end

        await super().stream_response(send_in_time)


async def _frames(
    endpoint: Endpoint,
    events: AsyncIterator[Mapping[str, Any]],
    request_id: str,
    caller: Caller,
    watch: Watch,
) -> AsyncIterator[bytes]:
    answering = endpoint.answering
    is_sse = answering.codec is Codec.SSE
    alive = b":\n\n" if is_sse else b"\n"
    yield alive  # what stands between must see that the answer has begun
    iterator = aiter(events)
    following = asyncio.ensure_future(anext(iterator))
    ended = asyncio.Event()
    ending = asyncio.ensure_future(ended.wait())
    leave = watch(caller, ended.set)
    try:
        while True:
            seconds = _seconds_until(caller.expires_at)
            if seconds <= 0:
                raise Unauthenticated("The access token has expired", expired=True)
            done, _ = await asyncio.wait(
                {following, ending},
                timeout=min(SILENCE_SECONDS, seconds),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ending in done:
                raise Unauthenticated(ACCESS_ENDED)
            if not done:
                yield alive
                continue
            yield _frame(answering, following.result(), request_id)
            following = asyncio.ensure_future(anext(iterator))
    except StopAsyncIteration:
        if is_sse:
            yield b"event: complete\ndata: {}\n\n"
    except AppError as error:
        problem = bytes(problem_response(error, request_id=request_id, answering=answering).body)
        yield b"event: error\ndata: " + problem + b"\n\n" if is_sse else problem + b"\n"
    finally:
        leave()
        ending.cancel()
        following.cancel()
        await asyncio.wait({following, ending})
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def _seconds_until(moment: datetime | None) -> float:
    return inf if moment is None else (moment - SystemClock().now()).total_seconds()


def _frame(answering: Answering, data: Mapping[str, Any], request_id: str) -> bytes:
    value, control = value_of(answering, data)
    body = written(shaped(answering, value, message=answering.message, request_id=request_id))
    if answering.codec is not Codec.SSE:
        return body + b"\n"
    head = b"".join(
        f"{name}: {_LINE_BREAKS.sub(' ', str(control[key]))}\n".encode()
        for name, key in (("id", "_id"), ("event", "_event"))
        if control.get(key) is not None
    )
    return head + b"data: " + body + b"\n\n"
