"""One connection of the load generator: a window of packets that survives lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from core.errors import Unavailable
from fleetgraph.simulator import packets as wire
from fleetgraph.simulator.payloads import PacketFactory

_CHUNK = 256  # packets per write
_PUBACK = bytes((wire.PUBACK,))
_CONNECT_SECONDS = 10.0
_RECONNECT_SECONDS_MAX = 2.0
_PACE_SECONDS = 0.002


class LoadConnection:
    """Sends messages 0, 1, 2 … of its factory and remembers which are not acknowledged yet."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        username: str | None,
        password: str | None,
        packets: PacketFactory,
        total: int | None,
        window: int,
        rate: float | None,
    ) -> None:
        self.sent = 0
        self.acked = 0
        self.resent = 0
        self.reconnects = 0
        self._address = (host, port)
        self._connect = wire.connect(client_id, username, password, keep_alive=0)
        self._packets = packets
        self._total = total
        self._window = window
        self._rate = rate
        self._unacked: dict[int, int] = {}  # packet id -> message, in the order of sending
        self._protocol: _Protocol | None = None

    async def open(self) -> None:
        """Connect for the first time. Raises Unavailable."""
        try:
            await self._dial()
        except (OSError, TimeoutError) as error:
            raise Unavailable("broker", reason=str(error)) from error

    async def run(self, *, seconds: float | None, drain: float) -> None:
        """Send everything, then wait up to `drain` seconds for what is not acknowledged."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stop_at = begun + seconds if seconds is not None else float("inf")
        while self._has_more() and loop.time() < stop_at:
            await self._stay_connected(loop.time() + drain)
            room = self._room(loop.time() - begun)
            if room > 0:
                self._send(room)
                await self._flow()
            else:
                await self._wait_for_acks(stop_at - loop.time())
        give_up_at = loop.time() + drain
        while self._unacked and loop.time() < give_up_at:
            await self._stay_connected(give_up_at)
            await self._wait_for_acks(give_up_at - loop.time())

    def close(self) -> None:
        """Say goodbye."""
        if self._protocol:
            self._protocol.goodbye()

    def _has_more(self) -> bool:
        return self._total is None or self.sent < self._total

    def _room(self, elapsed: float) -> int:
        """Return how many messages may go out now: window, pace, total, free packet ids."""
        room = min(_CHUNK, self._window - len(self._unacked))
        if self._total is not None:
            room = min(room, self._total - self.sent)
        if self._rate is not None:
            room = min(room, int(elapsed * self._rate) + 1 - self.sent)
        return room

    def _send(self, count: int) -> None:
        unacked, make, first = self._unacked, self._packets.packet, self.sent
        out = []
        for number in range(first, first + count):
            packet_id = number % 65_535 + 1
            if packet_id in unacked:  # a straggler; its id comes free with its acknowledgement
                break
            unacked[packet_id] = number
            out.append(make(number))
        self.sent += len(out)
        assert self._protocol is not None
        self._protocol.write(out)

    async def _flow(self) -> None:
        """Let acknowledgements in, and wait while the socket is full."""
        assert self._protocol is not None
        await asyncio.sleep(0)
        await self._protocol.writable.wait()

    async def _wait_for_acks(self, seconds: float) -> None:
        assert self._protocol is not None
        self._protocol.news.clear()
        limit = _PACE_SECONDS if self._rate is not None else 0.25
        try:
            async with asyncio.timeout(max(min(limit, seconds), 0)):
                await self._protocol.news.wait()
        except TimeoutError:
            return

    async def _stay_connected(self, give_up_at: float) -> None:
        """Come back after a loss and send again, marked DUP, what was not acknowledged."""
        if self._protocol and not self._protocol.is_lost:
            return
        loop, wait = asyncio.get_running_loop(), 0.05
        while True:
            try:
                await self._dial()
                break
            except (OSError, TimeoutError) as error:
                if loop.time() + wait > give_up_at:
                    raise Unavailable("broker", reason=str(error)) from error
                await asyncio.sleep(wait)
                wait = min(wait * 2, _RECONNECT_SECONDS_MAX)
        self.reconnects += 1
        self.resent += len(self._unacked)
        make = self._packets.packet
        assert self._protocol is not None
        self._protocol.write([make(number, dup=True) for number in self._unacked.values()])

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, protocol = await loop.create_connection(
                lambda: _Protocol(self._acknowledge), *self._address
            )
            await protocol.shake_hands(self._connect)
        self._protocol = protocol

    def _acknowledge(self, data: bytes) -> None:
        """Take PUBACKs: four bytes each, the last two the packet id."""
        unacked = self._unacked
        before = len(unacked)
        for at in range(2, len(data), 4):
            unacked.pop(data[at] << 8 | data[at + 1], None)
        self.acked += before - len(unacked)


class _Protocol(asyncio.Protocol):
    """Cuts what the broker says into the answer to CONNECT and acknowledgements."""

    def __init__(self, on_acks: Callable[[bytes], None]) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.news = asyncio.Event()
        self.is_lost = False
        self._on_acks = on_acks
        self._rest = b""
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def shake_hands(self, connect: bytes) -> None:
        """Send CONNECT and wait for a yes. Raises ConnectionRefusedError."""
        self.write([connect])
        code = await self._answer
        if code:
            self.goodbye()
            raise ConnectionRefusedError(f"the broker refused the connection with code {code}")

    def write(self, packets: list[bytes]) -> None:
        """Send packets; silently nothing when the connection is lost."""
        if self._transport and not self.is_lost:
            self._transport.write(b"".join(packets))

    def goodbye(self) -> None:
        """Disconnect."""
        self.write([wire.DISCONNECT])
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take answers, all of which are four bytes long."""
        data = self._rest + data
        whole = len(data) // 4 * 4
        data, self._rest = data[:whole], data[whole:]
        if data and not self._answer.done():
            self._answer.set_result(data[3])
            data = data[4:]
        if data[::4].strip(_PUBACK):
            self._drop()
            return
        self._on_acks(data)
        self.news.set()

    def pause_writing(self) -> None:
        """Stop: the socket is full."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self.is_lost = True
        if not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the broker answered"))
        self.writable.set()
        self.news.set()

    def _drop(self) -> None:
        """Give up on a broker that says something unexpected."""
        if self._transport:
            self._transport.abort()
