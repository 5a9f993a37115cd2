"""Redis or PostgreSQL away for ten seconds: no reading is lost or repeated at a subscriber.

Real programs and servers; readings are written all the time. One subscriber keeps its connection,
another leaves it every half second and comes back with its last cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from core.clock import SystemClock
from core.errors import Unavailable
from core.events import JOURNAL, JournalGrew
from core.policy import Policy
from core.pubsub.base import PubSub
from core.pubsub.redis import RedisPubSub
from core.reading_store import AgentTelemetry
from core.readings import SeriesSpec, Telemetry
from fleetgraph.embedded.ports import accepts
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.database import DatabaseUrl, open_pool
from models.notifications import PostgresPubSub
from models.timeseries.store import PostgresReadingStore
from tests.contracts.test_pubsub import RedisServer
from tests.e2e.agents import Agent
from tests.e2e.cloud import Cloud, Refused
from tests.e2e.processes import Program
from tests.tools import free_ports, say, until

pytestmark = pytest.mark.slow

PASSWORD = "a password of the tests"
AWAY_SECONDS = 10.0
HOP_SECONDS = 0.5
QUERY = "subscription ($after: String) { readings(after: $after) { cursor timestamps } }"


class Writer:
    """Writes one reading after the other, as ingest does: kept until it is stored."""

    def __init__(self, pool: asyncpg.Pool, bus: PubSub, agent: AgentTelemetry) -> None:
        self.written = 0
        self.start_ms = int(time.time() * 1_000) - 3_600_000
        self._store = PostgresReadingStore(pool, SystemClock(), Policy())
        self._bus = bus
        self._agent = agent
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def write(self) -> None:
        """Store the next reading and poke."""
        telemetry = Telemetry(
            [SeriesSpec("press", "count", "", "", "", "")],
            np.array([(self.start_ms + self.written) * 1_000], dtype=np.int64),
            np.array([float(self.written)]),
            np.zeros(1, dtype=np.int8),
            np.zeros(1, dtype=np.int8),
        )
        one = AgentTelemetry(
            self._agent.tenant_id, self._agent.agent_id, self._agent.agent_uuid, telemetry
        )
        while True:
            try:
                await self._store.append([one])
                break
            except Unavailable:
                await asyncio.sleep(0.1)
        self.written += 1
        await self._bus.publish(JOURNAL, JournalGrew())

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Finish the reading under way: cancelled, it might be stored and not counted."""
        self._is_stopping = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=10)
            self._task.cancel()  # the database is not coming back

    async def _run(self) -> None:
        while not self._is_stopping:
            await self.write()
            await asyncio.sleep(0.01)


class Follower:
    """Remembers what it saw; comes back with its last cursor whenever its connection ended."""

    def __init__(self, cloud: Cloud, start_ms: int, hop_seconds: float = float("inf")) -> None:
        self.seen: list[int] = []
        self.connections = 0
        self._cloud, self._start_ms, self._hop_seconds = cloud, start_ms, hop_seconds
        self._cursor: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="follower")
        await self.sees(0)

    async def sees(self, number: int, seconds: float = 30.0) -> None:
        """Wait until it has seen a reading."""

        def look() -> bool:
            if self._task and self._task.done():
                self._task.result()
            return bool(self.seen) and self.seen[-1] >= number

        await until(look, f"reading {number} arrives", seconds=seconds)

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            # An outage may refuse a newcomer; what it missed meanwhile is in the journal.
            with suppress(Refused, OSError, ConnectionClosed, InvalidHandshake):
                await self._follow()
            await asyncio.sleep(0.05)

    async def _follow(self) -> None:
        async with self._cloud.follow(QUERY, after=self._cursor) as live:
            self.connections += 1
            end = time.monotonic() + self._hop_seconds
            while time.monotonic() < end:
                try:
                    batch = (await live.next(seconds=min(self._hop_seconds, 60)))["readings"]
                except TimeoutError:
                    return
                self._cursor = batch["cursor"]
                self.seen += [at - self._start_ms for at in batch["timestamps"]]


class System:
    """PostgreSQL, Redis if wanted, the API as a program, a writer and two subscribers."""

    def __init__(self, folder: Path, *, with_redis: bool) -> None:
        self.postgres = EmbeddedPostgres(folder / "data")
        self.redis = RedisServer(folder) if with_redis else None
        self._folder = folder
        (self._port,) = free_ports(1)
        self._cloud = Cloud(f"http://127.0.0.1:{self._port}")
        self._program: Program | None = None
        self._pool: asyncpg.Pool | None = None
        self._bus: PubSub | None = None
        self.followers: list[Follower] = []

    async def start(self) -> None:
        address = await self.postgres.start()
        settings = {
            "FLEETGRAPH_DATABASE_URL": address,
            "FLEETGRAPH_ADMIN_PASSWORD": PASSWORD,
            "FLEETGRAPH_DATA_DIR": self._folder / "program",
        }
        url = DatabaseUrl.parse(address)
        if self.redis:
            await self.redis.start()
            settings["FLEETGRAPH_REDIS_URL"] = self.redis.url
            self._bus = RedisPubSub(self.redis.url)
        else:
            self._bus = PostgresPubSub(url)
        self._program = Program(
            "serve", "--port", str(self._port), folder=self._folder, settings=settings
        )
        await until(self._answers, "the API answers")
        await self._cloud.sign_in(PASSWORD)
        agent = Agent(self._cloud.url)
        try:
            await agent.provision(await self._cloud.provisioning_key())
        finally:
            await agent.close()
        await self._bus.start()
        self._pool = await open_pool(url)
        tenant_id, agent_id = await self._pool.fetchrow(
            "select tenant_id, id from agent where uuid = $1", UUID(agent.uuid)
        )
        nothing = Telemetry([], *(np.empty(0) for _ in range(4)))  # type: ignore[arg-type]  # never read
        self.writer = Writer(
            self._pool,
            self._bus,
            AgentTelemetry(tenant_id, agent_id, UUID(agent.uuid), nothing),
        )
        await self.writer.write()
        self.stays = Follower(self._cloud, self.writer.start_ms)
        self.hops = Follower(self._cloud, self.writer.start_ms, HOP_SECONDS)
        self.followers = [self.stays, self.hops]
        for follower in self.followers:
            await follower.start()
        self.writer.start()
        for follower in self.followers:
            await follower.sees(20)

    async def finish(self, what: str) -> None:
        """Write some more, stop, and compare what was written with what was seen."""
        wanted, hops = self.writer.written + 50, self.hops.connections + 2
        await until(lambda: self.writer.written >= wanted, "readings are written again")
        await until(lambda: self.hops.connections >= hops, "the second subscriber comes back")
        await self.writer.stop()
        total = self.writer.written
        for follower in self.followers:
            await follower.sees(total - 1)
            assert sorted(follower.seen) == list(range(total))
            assert all(before < after for before, after in pairwise(follower.seen)), "out of order"
        assert self.stays.connections == 1
        say(f"{what}: {total} readings, each seen once; {self.hops.connections} connections")

    async def close(self) -> None:
        if hasattr(self, "writer"):
            await self.writer.stop()
        for follower in self.followers:
            await follower.stop()
        if self._bus:
            await self._bus.stop()
        if self._pool:
            self._pool.terminate()
        await self._cloud.close()
        if self._program:
            self._program.close()
        if self.redis:
            await self.redis.kill()
        await self.postgres.stop()

    async def _answers(self) -> bool:
        assert self._program
        assert self._program.running, self._program.err[-3000:]
        return await accepts("127.0.0.1", self._port)


@pytest.fixture(params=["redis", "postgres"])
async def system(request: pytest.FixtureRequest, open_folder: Path) -> AsyncIterator[System]:
    made = System(open_folder, with_redis=request.param == "redis")
    try:
        await made.start()
        yield made
    finally:
        await made.close()


with_redis = pytest.mark.parametrize("system", ["redis"], indirect=True)


async def away(system: System, *, flows: bool) -> None:
    """Let the outage last; with `flows` readings written within it must arrive within it."""
    end = time.monotonic() + AWAY_SECONDS
    if flows:
        newest = system.writer.written
        await system.stays.sees(newest + 20, seconds=AWAY_SECONDS)
        await system.hops.sees(newest + 20, seconds=AWAY_SECONDS)
    await asyncio.sleep(max(0.0, end - time.monotonic()))


@with_redis
async def test_redis_that_hangs_for_ten_seconds_delays_nobody_for_long(system: System) -> None:
    assert system.redis
    system.redis.freeze()
    try:
        await away(system, flows=True)
    finally:
        system.redis.thaw()
    await system.finish("Redis hung for 10 s")


@with_redis
async def test_redis_that_dies_and_is_back_after_ten_seconds(system: System) -> None:
    assert system.redis
    await system.redis.kill()
    await away(system, flows=True)
    await system.redis.start()
    await system.finish("Redis dead for 10 s")


async def test_a_database_that_is_away_for_ten_seconds(system: System) -> None:
    await system.postgres.stop()
    await away(system, flows=False)
    await system.postgres.start()
    await system.finish("PostgreSQL away for 10 s")
