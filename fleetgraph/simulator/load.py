"""The load generator: telemetry as fast as the broker acknowledges it, each reading known.

As a program of its own it reads its options as JSON from standard input and writes its result as
JSON to standard output: `python -m fleetgraph.simulator.load`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field

import msgspec

from core.clock import SystemClock
from core.errors import InvalidInput
from fleetgraph.simulator.load_connection import LoadConnection
from fleetgraph.simulator.payloads import PacketFactory, Payload
from fleetgraph.simulator.wire import epoch_ms


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """One connection: who it says it is, and the beginning of its topics (no slash at the end)."""

    client_id: str
    topic_prefix: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What load to make.

    Attributes:
        host, port: the broker.
        targets: the connections; messages are dealt out evenly.
        messages: how many in all; None to go on for `seconds`.
        seconds: end by then, whatever `messages` says.
        readings_per_message: how many.
        series: series per connection, a multiple of readings_per_message.
        payload: what a message looks like.
        window: un-acknowledged messages per connection. Stay below what the broker allows at a
            time, else it may drop messages.
        messages_per_second: limit over all connections; None for as fast as it goes.
        start_ms: time of the first readings, ms since 1970; None lets the last be about now.
        step_ms: from one reading of a series to its next.
        drain_seconds: how long to wait for the last acknowledgements, broker restarts included.
    """

    host: str
    port: int
    targets: list[LoadTarget]
    messages: int | None = None
    seconds: float | None = None
    readings_per_message: int = 10
    series: int = 100
    payload: Payload = Payload.COMPACT
    window: int = 500
    messages_per_second: float | None = None
    start_ms: int | None = None
    step_ms: int = 1
    drain_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What happened.

    Attributes:
        sent: messages sent, each counted once.
        acked: of these, acknowledged.
        resent: packets sent again after a lost connection.
        reconnects: connections lost and made anew.
        seconds: from the first message to the last acknowledgement.
        readings: readings in the messages sent; all differ in (series, time).
        start_ms: time of the first readings, ms since 1970.
        sent_by_target: messages sent per connection, in the order of targets.
    """

    sent: int
    acked: int
    resent: int
    reconnects: int
    seconds: float
    readings: int
    start_ms: int
    sent_by_target: list[int]

    @property
    def messages_per_second(self) -> float:
        """Return acknowledged messages per second."""
        return self.acked / self.seconds if self.seconds else 0.0


async def blast(options: LoadOptions) -> LoadResult:
    """Send the load and wait for its acknowledgements.

    Raises InvalidInput for options without an end, Unavailable when the broker cannot be reached
    at the start or refuses a connection.
    """
    _check(options)
    start_ms = options.start_ms if options.start_ms is not None else _fitting_start(options)
    connections = [_connection(options, number, start_ms) for number in range(len(options.targets))]
    try:
        await asyncio.gather(*(connection.open() for connection in connections))
        begun = time.perf_counter()
        await asyncio.gather(
            *(c.run(seconds=options.seconds, drain=options.drain_seconds) for c in connections)
        )
        seconds = time.perf_counter() - begun
    finally:
        for connection in connections:
            connection.close()
    sent = [connection.sent for connection in connections]
    return LoadResult(
        sent=sum(sent),
        acked=sum(connection.acked for connection in connections),
        resent=sum(connection.resent for connection in connections),
        reconnects=sum(connection.reconnects for connection in connections),
        seconds=seconds,
        readings=sum(sent) * options.readings_per_message,
        start_ms=start_ms,
        sent_by_target=sent,
    )


def device_name(number: int) -> str:
    """Return the device that connection `number` speaks for."""
    return f"load-{number:03d}"


def factory(options: LoadOptions, number: int, start_ms: int) -> PacketFactory:
    """Return the maker of connection `number`'s packets; tells what any message contained."""
    return PacketFactory(
        topic=f"{options.targets[number].topic_prefix}/endpoints/modbus",
        device=device_name(number),
        payload=options.payload,
        series=options.series,
        readings_per_message=options.readings_per_message,
        start_ms=start_ms,
        step_ms=options.step_ms,
    )


def _connection(options: LoadOptions, number: int, start_ms: int) -> LoadConnection:
    target, count = options.targets[number], len(options.targets)
    share = None
    if options.messages is not None:
        share = options.messages // count + (number < options.messages % count)
    rate = options.messages_per_second / count if options.messages_per_second else None
    return LoadConnection(
        options.host,
        options.port,
        client_id=target.client_id,
        username=target.username,
        password=target.password,
        packets=factory(options, number, start_ms),
        total=share,
        window=options.window,
        rate=rate,
    )


def _fitting_start(options: LoadOptions) -> int:
    """Return a start from which the load reaches about now: the future is nobody's data."""
    groups = max(1, options.series // options.readings_per_message)
    now = epoch_ms(SystemClock().now())
    if options.messages is None:
        return now - 3_600_000
    each = options.messages // len(options.targets) // groups + 1
    return now - each * options.step_ms


def _check(options: LoadOptions) -> None:
    if options.messages is None and options.seconds is None:
        raise InvalidInput("messages", "say how many messages or how many seconds")
    if not options.targets:
        raise InvalidInput("targets", "there must be at least one connection")
    if options.series % options.readings_per_message or options.series < 1:
        raise InvalidInput("series", "must be a multiple of readings_per_message")
    if not 1 <= options.window <= 30_000:
        raise InvalidInput("window", "must be from 1 to 30000")


def main() -> None:
    """Read options, send the load, write the result."""
    options = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadOptions)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(blast(options))) + b"\n")


if __name__ == "__main__":
    main()
