"""Thousands of graphql-transport-ws subscribers in one process, each on a socket of its own.

Reads frames by hand: a general WebSocket library takes longer per message than the servers that
are measured. Every event carries its number within its topic as its first value, so that a
message that is lost or comes twice is seen at the socket it happened to.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

QUERY = "subscription($a: %s!) { readings(agentUuid: $a) { timestamps values } }"
_CONNECTING_MAX = 64
_STEP_SECONDS_MAX = 60.0
_VALUES = b'"values":['
_TEXT = 0x81


@dataclass(slots=True, eq=False)
class Event:
    """One event: when it was published, and how many have yet to get it."""

    stamp: float
    left: int


@dataclass(slots=True, eq=False)
class Topic:
    """What events are about; each socket follows one, a sleeper all."""

    uuid: str
    members: int = 0
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What the sockets saw since it was last cleared."""

    latencies: list[float] = field(default_factory=list)
    lost: int = 0
    repeated: int = 0
    closed: int = 0
    refused: list[str] = field(default_factory=list)

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the time from publishing to arrival."""
        return float(np.percentile(self.latencies, percent)) * 1_000 if self.latencies else 0.0


class Publisher:
    """Publishes events as lines on the server's plain socket."""

    def __init__(self, values: int) -> None:
        self.values = values
        self.published = 0
        self._rest = b", 0.5" * (values - 1)
        self._times = json.dumps([1_790_000_000_000 + n for n in range(values)]).encode()
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, port: int) -> None:
        """Open the connection."""
        _, self._writer = await asyncio.open_connection("127.0.0.1", port)

    def publish(self, topic: Topic) -> None:
        """Publish the next event of a topic."""
        assert self._writer is not None
        number = len(topic.events)
        topic.events.append(Event(time.perf_counter(), topic.members))
        self.published += 1
        self._writer.write(
            b'["%s",%s,[%d%s]]\n' % (topic.uuid.encode(), self._times, number, self._rest)
        )

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()


class Subscriber(asyncio.Protocol):
    """One socket with one subscription."""

    def __init__(
        self,
        topic: Topic,
        tally: Tally,
        *,
        hello: bytes,
        init: bytes,
        query: str,
        values: int,
        done: Callable[[], object],
    ) -> None:
        self.topic = topic
        self.last = -1
        self.is_ready = asyncio.get_running_loop().create_future()
        self.close_code: int | None = None
        self._tally, self._query = tally, query
        self._hello, self._init = hello, init
        self._values, self._done = values, done
        self._rest = b""
        self._is_upgraded = False
        self.transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self._is_upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._fail(data[:200].decode(errors="replace"))
                return
            self._is_upgraded = True
            self.transport.write(self._init)
            data = data[end + 4 :]
        at, end, now = 0, len(data), time.perf_counter()
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length > 125:
                size = 2 if length == 126 else 8
                start += size
                if start > end:
                    break
                length = int.from_bytes(data[start - size : start], "big")
            stop = start + length
            if stop > end:
                break
            if data[at] == _TEXT:
                self.message(data, start, stop, now)
            else:
                self._control(data[at] & 15, data[start:stop])
            at = stop
        self._rest = data[at:] if at < end else b""

    def connection_lost(self, error: Exception | None) -> None:
        self._tally.closed += 1
        if not self.is_ready.done():
            self._fail(f"closed with {self.close_code}")

    def message(self, data: bytes, start: int, stop: int, now: float) -> None:
        at = data.find(_VALUES, start, stop)
        if at < 0:
            self._other(json.loads(data[start:stop]))
            return
        text = data[at + len(_VALUES) : data.find(b"]", at, stop)]
        if text.count(b",") < self._values:
            self.take(int(float(text[: text.find(b",")])), now)
        else:  # several events that waited for a slow reader come joined
            for number in text.split(b",")[:: self._values]:
                self.take(int(float(number)), now)

    def take(self, number: int, now: float) -> None:
        """Count one delivery, and what was skipped before it."""
        events, expected = self.topic.events, self.last + 1
        if number != expected:
            if number < expected:
                self._tally.repeated += 1
                return
            if self.last >= 0:
                self._tally.lost += number - expected
                for skipped in events[expected:number]:
                    skipped.left -= 1
        self.last = number
        event = events[number]
        self._tally.latencies.append(now - event.stamp)
        event.left -= 1
        if event.left == 0:
            self._done()

    def send(self, message: dict[str, Any]) -> None:
        payload = json.dumps(message).encode()
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        self.transport.write(b"\x81" + size + bytes(4) + payload)  # masked, by zeros

    def _other(self, message: dict[str, Any]) -> None:
        if message["type"] == "connection_ack":
            self.subscribe()
            self.is_ready.set_result(None)
        elif message["type"] == "ping":
            self.send({"type": "pong"})
        elif message["type"] not in {"pong", "next"} or "errors" in message.get("payload", {}):
            self._tally.refused.append(str(message))

    def subscribe(self) -> None:
        payload = {"query": self._query, "variables": {"a": self.topic.uuid}}
        self.send({"id": "1", "type": "subscribe", "payload": payload})

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == 8:
            self.close_code = int.from_bytes(payload[:2], "big")
        elif kind == 9:
            self.transport.write(bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload)

    def _fail(self, reason: str) -> None:
        self._tally.refused.append(reason)
        if not self.is_ready.done():
            self.is_ready.set_exception(RuntimeError(reason))


class Crowd:
    """All subscribers of a server and its publisher."""

    def __init__(self, port: int, authorization: str, query: str, *, values: int) -> None:
        self.tally = Tally()
        self.members: list[Subscriber] = []
        self.publisher = Publisher(values)
        self.event_done: Callable[[], object] = lambda: None
        self._port, self._query, self._values = port, query, values
        init = {"type": "connection_init", "payload": {"authorization": authorization}}
        payload = json.dumps(init).encode()
        assert 126 <= len(payload) < 65_536
        frame = b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        self._head, self._init = head.encode(), frame

    async def join(self, topic: Topic, kind: type[Subscriber] = Subscriber) -> Subscriber:
        """Open a socket, introduce it and subscribe."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(
            lambda: kind(
                topic,
                self.tally,
                hello=self._head,
                init=self._init,
                query=self._query,
                values=self._values,
                done=self._event_done,
            ),
            "127.0.0.1",
            self._port,
        )
        async with asyncio.timeout(_STEP_SECONDS_MAX):
            await made.is_ready
        return made

    async def gather(self, topics: list[Topic], count: int) -> None:
        """Open `count` sockets, spread evenly over the topics."""
        few = asyncio.Semaphore(_CONNECTING_MAX)

        async def one(number: int) -> None:
            async with few:
                topic = topics[number % len(topics)]
                self.members.append(await self.join(topic))
                topic.members += 1

        await asyncio.gather(*(one(number) for number in range(count)))

    async def settle(self, topics: list[Topic]) -> None:
        """Publish until each subscription got something: subscribing has no acknowledgement."""
        async with asyncio.timeout(_STEP_SECONDS_MAX):
            while any(member.last < 0 for member in self.members):
                assert not self.tally.refused, self.tally.refused[0]
                for topic in topics:
                    self.publisher.publish(topic)
                await asyncio.sleep(0.3)
        await self.drained(topics)
        self.clear()

    async def drained(self, topics: list[Topic], seconds: float = 5.0) -> int:
        """Wait until every socket has the newest event; returns how many deliveries never came."""
        end = time.monotonic() + seconds
        while True:
            missing = sum(len(member.topic.events) - 1 - member.last for member in self.members)
            if not missing or time.monotonic() > end:
                return missing
            await asyncio.sleep(0.05)

    def _event_done(self) -> None:
        self.event_done()

    def clear(self) -> None:
        """Begin to count anew."""
        self.tally.latencies.clear()
        self.tally.lost = self.tally.repeated = 0

    def close(self) -> None:
        """Close all sockets."""
        self.publisher.close()
        for member in self.members:
            member.transport.abort()
