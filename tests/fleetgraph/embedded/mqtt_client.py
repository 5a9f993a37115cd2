"""A bare MQTT 3.1.1 client: does exactly what a test says, also what no decent client would."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    retain: bool


class MqttClient:
    def __init__(
        self,
        port: int,
        client_id: str,
        username: str,
        password: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self.tls = tls
        self.client_id = client_id
        self.username = username
        self.password = password
        self.messages: list[Message] = []
        self.closed = asyncio.Event()
        self.session_present = False
        self._acks: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._next_id = 0

    async def connect(
        self, *, clean: bool = True, will: tuple[str, bytes] | None = None, keep_alive: int = 60
    ) -> int:
        """Return the CONNACK code; 0 is welcome."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.tls
        )
        flags = 0xC0 | (0x02 if clean else 0) | (0x24 if will else 0)
        body = _text("MQTT") + bytes([4, flags]) + struct.pack("!H", keep_alive)
        body += _text(self.client_id)
        if will:
            body += _text(will[0]) + struct.pack("!H", len(will[1])) + will[1]
        body += _text(self.username) + _text(self.password)
        self._send(0x10, body)
        try:
            async with asyncio.timeout(10):
                _, answer = await self._packet()
        except BaseException:
            self._writer.close()
            raise
        self.session_present = bool(answer[0] & 1)
        if answer[1] == 0:
            self._task = asyncio.create_task(self._listen())
        else:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        return answer[1]

    async def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """Return the SUBACK code; 0x80 is refused."""
        number = self._number()
        body = struct.pack("!H", number) + _text(topic_filter) + bytes([qos])
        return (await self._ask(0x82, body, 0x90, number))[2]

    async def publish(
        self, topic: str, payload: bytes = b"x", *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish; with QoS 1 wait for the acknowledgement, which tells nothing about rights."""
        first = 0x30 | (qos << 1) | (1 if retain else 0)
        if qos == 0:
            self._send(first, _text(topic) + payload)
            return
        number = self._number()
        await self._ask(first, _text(topic) + struct.pack("!H", number) + payload, 0x40, number)

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition at all
                await asyncio.sleep(0.01)

    async def heard(self, topic: str) -> Message:
        await self.until(lambda: any(m.topic == topic for m in self.messages))
        return next(m for m in self.messages if m.topic == topic)

    async def close(self, *, politely: bool = True) -> None:
        if politely and not self.closed.is_set():
            self._send(0xE0, b"")
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._task

    async def _ask(self, first: int, body: bytes, answer: int, number: int) -> bytes:
        future = asyncio.get_running_loop().create_future()
        self._acks[answer, number] = future
        self._send(first, body)
        async with asyncio.timeout(10):
            result: bytes = await future
        return result

    async def _listen(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                first, body = await self._packet()
                if first >> 4 == 3:
                    self._take(first, body)
                elif first in {0x40, 0x90}:
                    self._acks.pop((first, struct.unpack_from("!H", body)[0])).set_result(body)
        self.closed.set()
        for future in self._acks.values():
            future.cancel()

    def _take(self, first: int, body: bytes) -> None:
        length = struct.unpack_from("!H", body)[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        if first & 0x06:
            self._send(0x40, rest[:2])
            rest = rest[2:]
        self.messages.append(Message(topic, rest, bool(first & 1)))

    async def _packet(self) -> tuple[int, bytes]:
        first = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return first, await self._reader.readexactly(length)

    def _send(self, first: int, body: bytes) -> None:
        length, encoded = len(body), bytearray()
        while True:
            length, byte = divmod(length, 128)
            encoded.append(byte | (0x80 if length else 0))
            if not length:
                break
        self._writer.write(bytes([first]) + bytes(encoded) + body)

    def _number(self) -> int:
        self._next_id += 1
        return self._next_id


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw
