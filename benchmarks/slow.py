"""Five clients that stop reading beside 500 that read: whom it slows, and what it costs.

500 events of 100 values per second. The five subscribe to all 100 topics, read nothing for 15 s,
and then read what is left for them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.arena import Arena, arena
from benchmarks.push import OURS, PEER, TOPICS, publish_at, start
from benchmarks.push_client import Crowd, Subscriber, Topic
from benchmarks.report import table, write

READERS = 500
SLEEPERS = 5
RATE = 500.0
VALUES = 100
BEFORE_SECONDS = 8.0
ASLEEP_SECONDS = 15.0
AWAKE_SECONDS = 4.0


class Sleeper(Subscriber):
    """One socket that follows every topic, with one subscription each."""

    topics: list[Topic]
    woke_at = 0.0

    def subscribe(self) -> None:
        self.got: list[float] = []
        for number, topic in enumerate(self.topics):
            payload = {"query": self._query, "variables": {"a": topic.uuid}}
            self.send({"id": str(number), "type": "subscribe", "payload": payload})

    def message(self, data: bytes, start: int, stop: int, now: float) -> None:
        at = data.find(b'"id":"', start, start + 60)
        value = data.find(b'"values":[', start, stop)
        if at < 0 or value < 0:
            super().message(data, start, stop, now)
            return
        topic = self.topics[int(data[at + 6 : data.find(b'"', at + 6)])]
        text = data[value + 10 : data.find(b"]", value)]
        numbers = [int(float(each)) for each in text.split(b",")[:: self._values]]
        # Since the last readings in a message are the newest, it is as old as those.
        self.got.append(now - topic.events[numbers[-1]].stamp)


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    async with arena(TOPICS) as field:
        names = (OURS, PEER) if field.has_peers else (OURS,)
        rows = [await _measure(field, name, min(1.0, scale)) for name in names]
    print(table(rows))
    ours = rows[0]
    goal = (
        f"goal: under 10 MB for the five, and they slow nobody; {ours['MB more']} MB, "
        f"p99 {ours['p99 before']} -> {ours['p99 with']} ms"
    )
    print(goal)
    print(f"kept in {write('slow', {'rows': rows, 'goals': [goal]})}")


async def _measure(field: Arena, name: str, scale: float) -> dict[str, Any]:
    server, query = await start(field, name)
    topics = [Topic(str(uuid)) for uuid in field.agents]
    crowd = Crowd(server.port, field.authorization, query, values=VALUES)
    try:
        await crowd.publisher.connect(server.events_port)
        await crowd.gather(topics, READERS)
        await crowd.settle(topics)
        await publish_at(crowd, topics, BEFORE_SECONDS * scale, RATE, [])
        await crowd.drained(topics)
        before, memory = crowd.tally.milliseconds(99), server.pss_kb
        crowd.clear()
        kind = type("Sleeper", (Sleeper,), {"topics": topics})
        sleepers = [await crowd.join(topics[0], kind) for _ in range(SLEEPERS)]
        await asyncio.sleep(0.5)
        for sleeper in sleepers:
            sleeper.transport.pause_reading()
        published = crowd.publisher.published
        peak = asyncio.create_task(_peak(server))
        await publish_at(crowd, topics, ASLEEP_SECONDS * scale, RATE, [])
        published = crowd.publisher.published - published
        missing = await crowd.drained(topics)
        peak.cancel()
        grown = max(await _peak_of(peak), server.pss_kb) - memory
        during, tally = crowd.tally.milliseconds(99), crowd.tally
        woken_at = time.perf_counter()
        for sleeper in sleepers:
            sleeper.transport.resume_reading()
        await publish_at(crowd, topics, AWAKE_SECONDS, RATE, [])
        await asyncio.sleep(0.5)
        row = {
            "server": name,
            "p99 before": round(before, 1),
            "p99 with": round(during, 1),
            "lost": tally.lost + missing,
            "repeated": tally.repeated,
            "MB more": round(grown / 1024, 1),
            **_of_sleepers(sleepers, published, time.perf_counter() - woken_at),
        }
        crowd.close()
    finally:
        await server.stop()
    return row


async def _peak(server: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    highest = 0
    while True:
        highest = max(highest, server.pss_kb)
        task.set_name(str(highest))
        await asyncio.sleep(0.25)


async def _peak_of(task: asyncio.Task[None]) -> int:
    await asyncio.wait([task])
    name = task.get_name()
    return int(name) if name.isdecimal() else 0


def _of_sleepers(sleepers: list[Any], published: int, seconds: float) -> dict[str, Any]:
    got = [age for sleeper in sleepers for age in sleeper.got]
    codes = sorted({sleeper.close_code for sleeper in sleepers if sleeper.close_code})
    closed = sum(sleeper.transport.is_closing() for sleeper in sleepers)
    return {
        "cut": f"{closed} of {len(sleepers)}",
        "codes": ",".join(map(str, codes)) or "-",
        "slept through": published,
        "got after waking": round(len(got) / len(sleepers)),
        "oldest s": round(max(got, default=0.0), 1),
        "newest ms": round(min(got, default=0.0) * 1_000),
    }
