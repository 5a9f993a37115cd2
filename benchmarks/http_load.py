"""A small HTTP client for loads: keep-alive connections, each with one request under way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

_CONTENT_LENGTH = b"content-length:"
_GOOD = (b"200", b"304")


@dataclass(slots=True)
class Answers:
    """What came back."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    bytes_each: int = 0
    bad: list[bytes] = field(default_factory=list)


def post(port: int, authorization: str, query: str, variables: object = None) -> bytes:
    """Return a whole POST of an operation."""
    told = {"query": query, "variables": variables}
    return request("POST", "/graphql", port, told, Authorization=authorization)


def request(method: str, path: str, port: int, told: object = None, **headers: str) -> bytes:
    """Return a whole request; in the names of `headers` an underscore stands for a hyphen."""
    body = b"" if told is None else json.dumps(told).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    if told is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def load(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    count: int = 10_000_000,
    pause: float = 0.0,
) -> Answers:
    """Send `requests` round and round for a while; one answer with errors in it is kept as bad.

    `pause` is how many seconds each connection rests after an answer.
    """
    loop = asyncio.get_running_loop()
    answers = Answers()
    upcoming = _Upcoming(requests, loop.time() + seconds, count)
    started = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: _Connection(upcoming, answers, pause), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    answers.seconds = time.perf_counter() - started
    return answers


class _Upcoming:
    def __init__(self, requests: Sequence[bytes], until: float, count: int) -> None:
        self._requests = requests
        self._until = until
        self._left = count
        self._at = 0

    def next(self, now: float) -> bytes | None:
        if now >= self._until or self._left == 0:
            return None
        self._left -= 1
        self._at = (self._at + 1) % len(self._requests)
        return self._requests[self._at]


class _Connection(asyncio.Protocol):
    def __init__(self, upcoming: _Upcoming, answers: Answers, pause: float) -> None:
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._upcoming = upcoming
        self._answers = answers
        self._buffer = b""
        self._write: Callable[[bytes], object] = lambda _: None
        self._close: Callable[[], object] = lambda: None
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tcp = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._write, self._close = tcp.write, tcp.close
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = _end_of_answer(self._buffer)
        if end is None:
            return
        self._answers.latencies.append(time.perf_counter() - self._sent_at)
        self._answers.bytes_each = end
        if self._buffer[9:12] not in _GOOD or b'"errors"' in self._buffer[:2_000]:
            self._answers.bad.append(self._buffer[:500])
        self._buffer = self._buffer[end:]
        if self._pause:
            self._loop.call_later(self._pause, self._send)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._answers.bad.append(b"connection lost")
            self.done.set_result(None)

    def _send(self) -> None:
        request = self._upcoming.next(self._loop.time())
        if request is None:
            self.done.set_result(None)
            self._close()
            return
        self._sent_at = time.perf_counter()
        self._write(request)


def _end_of_answer(buffer: bytes) -> int | None:
    """Return where the first answer ends, None while it is incomplete."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    lower = buffer[:head].lower()
    at = lower.find(_CONTENT_LENGTH)
    if buffer[9:12] == b"304":
        return head + 4
    if at >= 0:
        line = lower[at + len(_CONTENT_LENGTH) :].partition(b"\r\n")[0]
        end = head + 4 + int(line)
        return end if len(buffer) >= end else None
    return len(buffer) if buffer.endswith(b"\r\n0\r\n\r\n") else None
