"""Pushes to 1,000 and 5,000 sockets on 100 subscriptions, beside npm's graphql-ws.

Each event has two values and goes to every socket of its topic. Saturated: 100 events are under
way at any time. Half: events at half that rate, whatever becomes of them. Latency runs from
publishing, in the client's process, to arrival at a socket there.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from typing import Any

import numpy as np

from benchmarks.arena import Arena, Server, arena
from benchmarks.push_client import QUERY, Crowd, Topic
from benchmarks.report import cpu_seconds, table, write

TOPICS = 100
IN_FLIGHT = 100
SIZES = {1_000: 1.5, 5_000: 2.5}
"""Sockets, and how many times graphql-ws's deliveries per CPU second are the goal."""
ROUNDS = 3
SECONDS = 5.0
WARM_SECONDS = 6.0
OURS, PEER = "fleetgraph", "graphql-ws"


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    rounds: dict[tuple[str, int], list[dict[str, float]]] = {}
    seconds = max(1.0, SECONDS * scale)
    async with arena(TOPICS) as field:
        for _ in range(max(1, round(ROUNDS * min(1.0, scale)))):
            for sockets in SIZES:
                count = max(TOPICS, int(sockets * min(1.0, scale)))
                for name in (OURS, PEER) if field.has_peers else (OURS,):
                    found = await _measure(field, name, count, seconds)
                    rounds.setdefault((name, sockets), []).append(found | {"sockets": count})
    rows = {key: _row(key[0], found) for key, found in rounds.items()}
    print(table([*rows.values()]))
    goals = _goals(rows)
    print("\n".join(goals))
    kept = {f"{name} {sockets}": found for (name, sockets), found in rounds.items()}
    print(f"kept in {write('push', {'rows': [*rows.values()], 'rounds': kept, 'goals': goals})}")


async def start(field: Arena, name: str) -> tuple[Server, str]:
    """Start a server that pushes, ours or the peer; returns it and the subscription."""
    if name == PEER:
        return await field.peer(name, "yoga.mjs"), QUERY % "ID"
    return await field.ours(name), QUERY % "UUID"


async def _measure(field: Arena, name: str, sockets: int, seconds: float) -> dict[str, float]:
    server, query = await start(field, name)
    topics = [Topic(str(uuid)) for uuid in field.agents]
    try:
        await _warm_up(field, server, query)
        before = server.pss_kb
        crowd = Crowd(server.port, field.authorization, query, values=2)
        await crowd.publisher.connect(server.events_port)
        await crowd.gather(topics, sockets)
        await crowd.settle(topics)
        found = {"kB each": (server.pss_kb - before) / sockets}
        gc.collect()
        gc.freeze()
        gc.disable()  # the client's pauses are not the server's
        try:
            found |= await _saturate(crowd, server, topics, seconds)
            events = found["deliveries/s"] / (sockets / TOPICS)
            found |= await _half(crowd, server, topics, seconds * 1.5, events / 2)
        finally:
            gc.enable()
        assert not crowd.tally.refused, crowd.tally.refused[0]
        found["closed"] = crowd.tally.closed
        crowd.close()
    finally:
        await server.stop()
    return found


async def _warm_up(field: Arena, server: Server, query: str) -> None:
    """Let a few come and go, so that memory grows only by what sockets need afterwards."""
    topics = [Topic(str(uuid)) for uuid in field.agents[:10]]
    crowd = Crowd(server.port, field.authorization, query, values=2)
    await crowd.publisher.connect(server.events_port)
    await crowd.gather(topics, 50)
    await crowd.settle(topics)
    await _saturate(crowd, server, topics, WARM_SECONDS)
    crowd.close()
    await asyncio.sleep(0.5)


async def _saturate(
    crowd: Crowd, server: Server, topics: list[Topic], seconds: float
) -> dict[str, float]:
    """Keep events under way: whenever one has reached all its sockets, publish the next."""
    crowd.clear()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    turn = 0

    def publish() -> None:
        nonlocal turn
        if loop.time() < end:
            crowd.publisher.publish(topics[turn % len(topics)])
            turn += 1

    crowd.event_done = publish
    used, client, started = cpu_seconds(server.pid), time.process_time(), time.perf_counter()
    for _ in range(IN_FLIGHT):
        publish()
    await asyncio.sleep(seconds)
    deliveries, lasted = len(crowd.tally.latencies), time.perf_counter() - started
    used, client = cpu_seconds(server.pid) - used, time.process_time() - client
    missing = await crowd.drained(topics)
    crowd.event_done = lambda: None
    tally = crowd.tally
    return {
        "deliveries/s": deliveries / lasted,
        "per CPU-s": deliveries / used,
        "server CPU": used / lasted,
        "client CPU": client / lasted,
        "sat p50 ms": tally.milliseconds(50),
        "sat p99 ms": tally.milliseconds(99),
        "sat max ms": tally.milliseconds(100),
        "sat lost": tally.lost + missing,
        "sat repeated": tally.repeated,
    }


async def _half(
    crowd: Crowd, server: Server, topics: list[Topic], seconds: float, rate: float
) -> dict[str, float]:
    crowd.clear()
    lags: list[float] = []
    used = cpu_seconds(server.pid)
    await publish_at(crowd, topics, seconds, rate, lags)
    used = cpu_seconds(server.pid) - used
    missing = await crowd.drained(topics)
    tally = crowd.tally
    return {
        "half p50 ms": tally.milliseconds(50),
        "half p99 ms": tally.milliseconds(99),
        "half max ms": tally.milliseconds(100),
        "half CPU": used / seconds,
        "half lost": tally.lost + missing,
        "half repeated": tally.repeated,
        "client lag p99 ms": float(np.percentile(lags, 99)) * 1_000,
    }


async def publish_at(
    crowd: Crowd, topics: list[Topic], seconds: float, rate: float, lags: list[float]
) -> None:
    """Publish `rate` events per second; notes how late the client itself woke each time."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    due = started
    turn = 0
    while due < started + seconds:
        wake = max(due, loop.time() + 0.001)
        await asyncio.sleep(wake - loop.time())
        now = loop.time()
        lags.append(now - wake)
        while due <= now and due < started + seconds:
            crowd.publisher.publish(topics[turn % len(topics)])
            turn += 1
            due += 1 / rate


def _row(name: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return statistics.median(each[key] for each in rounds)

    rates = [each["deliveries/s"] for each in rounds]
    return {
        "server": name,
        "sockets": int(rounds[0]["sockets"]),
        "deliveries/s": round(median("deliveries/s")),
        "range": f"{min(rates):.0f}-{max(rates):.0f}",
        "per CPU-s": round(median("per CPU-s")),
        "client CPU": round(median("client CPU"), 2),
        "p99 ms": round(median("sat p99 ms")),
        "half p50": round(median("half p50 ms"), 1),
        "p99": round(median("half p99 ms"), 1),
        "max": round(max(each["half max ms"] for each in rounds), 1),
        "client lag p99": round(median("client lag p99 ms"), 1),
        "kB/socket": round(median("kB each"), 1),
        "lost": int(sum(each["sat lost"] + each["half lost"] for each in rounds)),
        "repeated": int(sum(each["sat repeated"] + each["half repeated"] for each in rounds)),
        "closed": int(sum(each["closed"] for each in rounds)),
    }


def _goals(rows: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    lines = []
    for sockets, times in SIZES.items():
        ours, peer = rows[OURS, sockets], rows.get((PEER, sockets))
        if peer:
            ratio = ours["per CPU-s"] / peer["per CPU-s"]
            lines.append(f"goal: {sockets}: at least {times} x {PEER} per CPU-s; {ratio:.2f} x")
        lines.append(
            f"goal: {sockets}: half load p99 <= 20 ms, worst <= 100 ms, <= 45 kB per socket; "
            f"{ours['p99']} ms, {ours['max']} ms, {ours['kB/socket']} kB"
        )
    return lines
