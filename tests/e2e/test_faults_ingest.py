"""Never lose, never double: every reading stored once and pushed once, whatever breaks."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from fleetgraph.simulator.load import LoadResult
from tests.e2e.agents import Agent
from tests.e2e.load import Expected, Load
from tests.e2e.parts import Parts
from tests.e2e.watchers import Watcher
from tests.tools import say, until

pytestmark = pytest.mark.slow

STATE = "query ($agent: UUID!) { agent(uuid: $agent) { currentState { version config } } }"


@pytest.fixture
async def agents(parts: Parts) -> AsyncIterator[list[Agent]]:
    """Three agents of nobody else."""
    three = [await parts.new_agent() for _ in range(3)]
    yield three
    for agent in three:
        await agent.close()


class Run:
    """A load under way, with one subscriber that stays and one that comes and goes."""

    def __init__(self, parts: Parts, agents: list[Agent], messages: int, rate: float) -> None:
        self._parts = parts
        self._load = Load(parts, agents, messages=messages, messages_per_second=rate)
        self.expected = Expected(self._load.options)
        self._watchers = [
            Watcher(parts.cloud, self.expected),
            Watcher(parts.cloud, self.expected, hop_seconds=1.0),
        ]
        self._agents = agents

    async def start(self) -> None:
        for watcher in self._watchers:
            await watcher.start()
        await self._load.start()

    async def stored(self, share: float) -> None:
        """Wait until this share of the load is stored."""
        wanted = share * self.expected.count

        async def enough() -> bool:
            return await self.expected.count_stored(self._parts) >= wanted

        await until(enough, f"{share:.0%} of the load is stored", seconds=90)

    async def finish(self, what: str) -> LoadResult:
        """Wait for the end and check that everything was stored and pushed exactly once."""
        begun = self._load.started_at
        result = await self._load.finished()
        assert result.acked == result.sent == self.expected.count
        await self.stored(1.0)
        seconds = time.monotonic() - begun
        say(
            f"{what}: {result.sent} messages in {seconds:.1f} s, {result.sent / seconds:.0f}/s; "
            f"{result.resent} sent again, {result.reconnects} reconnects"
        )
        await self.expected.check_stored(self._parts)
        for watcher in self._watchers:
            await watcher.saw_all()
        hops = self._watchers[1].connections
        assert hops > 3, "the second subscriber came back again and again"
        say(f"{what}: pushed to both; the second subscriber connected {hops} times")
        return result

    async def close(self) -> None:
        self._load.close()
        for watcher in self._watchers:
            await watcher.close()


async def test_killing_ingest_twice_in_mid_load(parts: Parts, agents: list[Agent]) -> None:
    run = Run(parts, agents, messages=100_000, rate=6_000)
    try:
        await run.start()
        for share in (0.25, 0.55):
            await run.stored(share)
            assert parts.ingest
            parts.ingest.kill()
            parts.start_ingest()
        await run.finish("ingest killed twice")
    finally:
        await run.close()


async def test_postgres_away_for_ten_seconds_in_mid_load(parts: Parts, agents: list[Agent]) -> None:
    assert parts.serve
    agent = agents[0]
    etag = (await agent.poll()).headers["etag"]
    run = Run(parts, agents, messages=40_000, rate=2_500)
    try:
        await run.start()
        await run.stored(0.2)
        await parts.postgres.stop()
        came_back = asyncio.create_task(asyncio.sleep(10), name="the outage")
        polls = reports = 0
        while not came_back.done():
            assert (await agent.poll(etag)).status_code == 304
            polls += 1
            report = await agent.report(version=10 + reports, config={"note": "x" * 2000})
            assert report.is_success, report.text
            reports += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(came_back), 0.5)
        await parts.start_postgres()
        assert parts.serve.running
        await run.finish("PostgreSQL away for 10 s")
    finally:
        await run.close()
    say(f"in the outage {polls} polls got 304, {reports} reports were accepted")

    async def last_report_is_there() -> bool:
        state = (await parts.cloud.ask(STATE, agent=agent.uuid))["agent"]["currentState"]
        return bool(state and state["version"] == 9 + reports and state["config"])

    await until(last_report_is_there, "what was reported in the outage is there")


async def test_a_broker_restart_in_mid_load(parts: Parts, agents: list[Agent]) -> None:
    run = Run(parts, agents, messages=40_000, rate=6_000)
    try:
        await run.start()
        await run.stored(0.3)
        await parts.stop_mosquitto(signal.SIGTERM)
        await parts.start_mosquitto()
        result = await run.finish("broker restarted")
        assert result.reconnects >= len(agents)
    finally:
        await run.close()
