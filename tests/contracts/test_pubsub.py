"""What every bus promises, on every carrier: memory, Redis, PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from core.events import AgentChanged, agents_topic
from core.pubsub.base import QUEUE_EVENTS_MAX, RESYNC, E, Event, PubSub, Resync, Topic
from core.pubsub.carried import OUTBOX_EVENTS_MAX, CarriedPubSub
from core.pubsub.memory import MemoryPubSub
from core.pubsub.redis import RedisPubSub
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.database import DatabaseUrl
from models.notifications import PostgresPubSub
from tests.tools import require_program

SECONDS_MAX = 10.0
MakeBus = Callable[[], PubSub]


class Counted(Event, frozen=True):
    number: int


COUNTS = Topic("test.counts", Counted)
OTHERS = Topic("test.others", Counted)


class RedisServer:
    """A redis-server of our own, which stores nothing."""

    def __init__(self, folder: Path) -> None:
        self._program = require_program("redis-server")
        self._folder = folder
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        arguments = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder)]
        arguments += ["--save", "", "--appendonly", "no"]
        self._process = await asyncio.create_subprocess_exec(
            self._program, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(SECONDS_MAX):
            while not await self._answers():
                assert self._process.returncode is None, "redis-server ended"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
async def redis_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    await server.start()
    yield server
    await server.kill()


@pytest.fixture(params=["memory", "redis", "postgres"])
def make_bus(request: pytest.FixtureRequest) -> MakeBus:
    """A maker of buses on one carrier."""
    if request.param == "memory":
        return MemoryPubSub
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        return lambda: RedisPubSub(url, prefix="test")
    database: DatabaseUrl = request.getfixturevalue("database_url")
    return lambda: PostgresPubSub(database)


@pytest.fixture
async def bus(make_bus: MakeBus) -> AsyncIterator[PubSub]:
    async with running(make_bus()) as started:
        yield started


@pytest.fixture
async def other(make_bus: MakeBus, bus: PubSub) -> AsyncIterator[PubSub]:
    """Where events arrive that `bus` publishes: another process's bus, if there can be one."""
    if isinstance(bus, MemoryPubSub):
        yield bus
        return
    async with running(make_bus()) as started:
        yield started


@asynccontextmanager
async def running(bus: PubSub) -> AsyncIterator[PubSub]:
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


async def take(events: AsyncIterator[E | Resync], count: int) -> list[E | Resync]:
    async with asyncio.timeout(SECONDS_MAX):
        return [await anext(events) for _ in range(count)]


def numbers(events: list[Any]) -> list[int]:
    return [event.number for event in events]


async def test_every_subscriber_of_a_topic_gets_every_event_in_order(
    bus: PubSub, other: PubSub
) -> None:
    async with (
        bus.subscribe(COUNTS) as here,
        other.subscribe(COUNTS) as one,
        other.subscribe(COUNTS) as two,
    ):
        for number in range(500):
            await bus.publish(COUNTS, Counted(number))
        for events in (here, one, two):
            assert numbers(await take(events, 500)) == list(range(500))


async def test_an_event_arrives_once(bus: PubSub, other: PubSub) -> None:
    async with bus.subscribe(COUNTS) as here, other.subscribe(COUNTS) as there:
        for number in range(3):
            await bus.publish(COUNTS, Counted(number))
            # The answer proves that the carrier has brought everything before it.
            assert numbers(await take(there, 1)) == [number]
        await other.publish(COUNTS, Counted(3))
        assert numbers(await take(here, 4)) == [0, 1, 2, 3]


async def test_nobody_else_gets_it(bus: PubSub, other: PubSub) -> None:
    async with other.subscribe(COUNTS) as counts, other.subscribe(OTHERS) as others:
        await bus.publish(OTHERS, Counted(1))
        await bus.publish(COUNTS, Counted(2))
        await bus.publish(OTHERS, Counted(3))
        assert numbers(await take(others, 2)) == [1, 3]
        assert numbers(await take(counts, 1)) == [2]
        await bus.publish(COUNTS, Counted(4))
        assert numbers(await take(counts, 1)) == [4]


async def test_leaving_the_block_unsubscribes(bus: Any) -> None:
    async with bus.subscribe(COUNTS), bus.subscribe(OTHERS):
        async with bus.subscribe(COUNTS):
            pass
        assert sorted(bus._fanout.topics) == ["test.counts", "test.others"]
    assert bus._fanout.topics == []


async def test_a_slow_subscriber_gets_resync_instead_of_a_longer_queue(
    bus: PubSub, other: PubSub
) -> None:
    async with other.subscribe(COUNTS) as slow, other.subscribe(OTHERS) as marker:
        total = QUEUE_EVENTS_MAX + 10
        for number in range(total):
            await bus.publish(COUNTS, Counted(number))
            if number % 100 == 0:
                await bus.publish(OTHERS, Counted(number))
                await take(marker, 1)
        await bus.publish(OTHERS, Counted(total))
        await take(marker, 1)
        assert await take(slow, 1) == [RESYNC]
        assert numbers(await take(slow, 9)) == list(range(QUEUE_EVENTS_MAX + 1, total))


async def test_types_survive_the_carrier(bus: PubSub, other: PubSub) -> None:
    topic = agents_topic(7)
    event = AgentChanged(tenant_id=7, agent_uuid=UUID("0190a6c0-0000-7000-8000-000000000001"))
    async with bus.subscribe(topic) as here, other.subscribe(topic) as there:
        await bus.publish(topic, event)
        assert await take(here, 1) == await take(there, 1) == [event]


async def test_a_timeout_while_waiting_does_not_end_the_subscription(
    bus: PubSub, other: PubSub
) -> None:
    async with other.subscribe(COUNTS) as events:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.01)
        await bus.publish(COUNTS, Counted(1))
        assert numbers(await take(events, 1)) == [1]


async def test_stopping_ends_subscriptions_after_what_is_queued(make_bus: MakeBus) -> None:
    bus = make_bus()
    before = asyncio.all_tasks()
    async with running(bus), bus.subscribe(COUNTS) as events:
        await bus.publish(COUNTS, Counted(1))
        await bus.stop()
        async with asyncio.timeout(SECONDS_MAX):
            assert numbers([event async for event in events]) == [1]
    assert asyncio.all_tasks() == before


# Between processes -------------------------------------------------------------------------

between_processes = pytest.mark.parametrize("make_bus", ["redis", "postgres"], indirect=True)


@between_processes
async def test_what_was_published_just_before_stopping_is_sent(
    make_bus: MakeBus, other: PubSub
) -> None:
    async with other.subscribe(COUNTS) as events:
        async with running(make_bus()) as short_lived:
            await short_lived.publish(COUNTS, Counted(1))
        assert numbers(await take(events, 1)) == [1]


@between_processes
@pytest.mark.parametrize("steps", range(12))
async def test_stopping_ends_whatever_the_link_is_doing(
    make_bus: MakeBus, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.pubsub.carried._FLUSH_SECONDS_MAX", 0)
    bus = make_bus()
    await bus.start()
    await bus.publish(COUNTS, Counted(1))
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(3.0):
        await bus.stop()


@between_processes
async def test_equal_pokes_that_wait_together_travel_once(bus: PubSub, other: PubSub) -> None:
    async with bus.subscribe(COUNTS) as here, other.subscribe(COUNTS) as there:
        for number in (1, 1, 2, 1, 1, 3):
            await bus.publish(COUNTS, Counted(number))
        assert numbers(await take(there, 3)) == [1, 2, 3]
        assert numbers(await take(here, 6)) == [1, 1, 2, 1, 1, 3]


@between_processes
async def test_a_burst_too_large_to_wait_becomes_resync_elsewhere(
    bus: PubSub, other: PubSub
) -> None:
    async with other.subscribe(COUNTS) as events:
        for number in range(OUTBOX_EVENTS_MAX + 2):
            await bus.publish(COUNTS, Counted(number))
        assert await take(events, 1) == [RESYNC]
        assert numbers(await take(events, 2)) == [OUTBOX_EVENTS_MAX, OUTBOX_EVENTS_MAX + 1]


@between_processes
async def test_a_listening_connection_that_is_cut_is_a_gap(
    bus: Any, request: pytest.FixtureRequest
) -> None:
    async with bus.subscribe(COUNTS) as events:
        if isinstance(bus, RedisPubSub):
            async with Redis.from_url(request.getfixturevalue("redis_server").url) as client:
                assert await client.client_kill_filter(_type="pubsub") == 1
        else:
            database = request.getfixturevalue("database_url")
            connection = await asyncpg.connect(**database.arguments())
            killed = await connection.fetch(CUT_LISTENERS)
            await connection.close()
            assert len(killed) == 1
        assert await take(events, 1) == [RESYNC]


CUT_LISTENERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'fleetgraph bus' and query ilike 'listen %'
"""


# A carrier that goes away ------------------------------------------------------------------


class Outage:
    """A carrier with a switch."""

    def __init__(self, carrier: str, folder: Path) -> None:
        self._redis = RedisServer(folder) if carrier == "redis" else None
        self._postgres = EmbeddedPostgres(folder) if carrier == "postgres" else None
        self._address = ""

    async def on(self) -> None:
        if self._redis:
            await self._redis.start()
        if self._postgres:
            self._address = await self._postgres.start()

    async def off(self) -> None:
        if self._redis:
            await self._redis.kill()
        if self._postgres:
            await self._postgres.stop()

    def bus(self) -> CarriedPubSub:
        if self._redis:
            return RedisPubSub(self._redis.url)
        return PostgresPubSub(DatabaseUrl.parse(self._address))


@pytest.fixture(params=["redis", "postgres"])
async def outage(request: pytest.FixtureRequest, open_folder: Path) -> AsyncIterator[Outage]:
    switch = Outage(request.param, open_folder)
    await switch.on()
    yield switch
    await switch.off()


async def until(*buses: CarriedPubSub, connected: bool) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while any(bus.connected is not connected for bus in buses):  # noqa: ASYNC110 (polled)
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_after_an_outage_every_subscriber_resyncs_once_and_events_flow_again(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = outage.bus(), outage.bus()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(one))
        await stack.enter_async_context(running(two))
        here = await stack.enter_async_context(one.subscribe(COUNTS))
        there = await stack.enter_async_context(two.subscribe(COUNTS))
        also = await stack.enter_async_context(two.subscribe(COUNTS))
        await one.publish(COUNTS, Counted(1))
        for events in (here, there, also):
            assert numbers(await take(events, 1)) == [1]

        await outage.off()
        await until(one, two, connected=False)
        async with asyncio.timeout(0.5):
            await two.publish(COUNTS, Counted(2))
        assert numbers(await take(there, 1) + await take(also, 1)) == [2, 2]
        await outage.on()
        await until(one, two, connected=True)

        assert await take(there, 1) + await take(also, 1) == [RESYNC, RESYNC]
        assert await take(here, 1) == [RESYNC]
        await two.publish(COUNTS, Counted(3))
        await one.publish(COUNTS, Counted(4))
        for events in (there, also):
            assert set(numbers(await take(events, 2))) == {3, 4}
        flown = numbers(await take(here, 2))
        if 2 in flown:  # waited for the carrier and found `one` listening already
            flown += numbers(await take(here, 1))
        assert set(flown) - {2} == {3, 4}
    told = [record.getMessage() for record in caplog.records if "the bus on" in record.message]
    assert len([line for line in told if "is away" in line]) == 2, told
    assert len([line for line in told if "is back" in line]) == 2, told


@pytest.mark.slow
async def test_a_bus_starts_without_its_carrier_and_finds_it_later(outage: Outage) -> None:
    await outage.off()
    bus = outage.bus()
    async with asyncio.timeout(SECONDS_MAX), running(bus), bus.subscribe(COUNTS) as events:
        assert not bus.connected
        await bus.publish(COUNTS, Counted(1))
        assert numbers(await take(events, 1)) == [1]
        await outage.on()
        assert await take(events, 1) == [RESYNC]
        await until(bus, connected=True)


@pytest.mark.slow
async def test_a_carrier_that_falls_silent_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.pubsub.carried.BEAT_SECONDS", 0.1)
    monkeypatch.setattr("core.pubsub.carried.SILENCE_SECONDS_MAX", 0.5)
    server = RedisServer(tmp_path)
    await server.start()
    bus = RedisPubSub(server.url)
    try:
        async with running(bus), bus.subscribe(COUNTS) as events:
            await asyncio.sleep(1.0)  # the beat alone keeps the link
            assert bus.connected
            server.freeze()
            async with asyncio.timeout(3.0):  # sooner than an answer to a command is given up
                await until(bus, connected=False)
            server.thaw()
            assert await take(events, 1) == [RESYNC]
    finally:
        await server.kill()
