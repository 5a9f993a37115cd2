"""Small queries per second and process, with tokens checked, beside npm's servers.

`agent(uuid) {uuid name status}` for a thousand agents over 16 connections. The peers keep their
data in memory; ours is measured with its database behind it, and with the rows in memory.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks.arena import Arena, Server, arena
from benchmarks.http_load import load, post
from benchmarks.report import cpu_seconds, table, write

QUERY = "query($u: %s!) { agent(uuid: $u) { uuid name status } }"
CONNECTIONS = 16
ROUNDS = 5
SECONDS = 4.0
WARM_SECONDS = 15.0
"""Node's compiler goes on making its servers faster for that long."""

OURS = "fleetgraph"
PEER = "graphql-yoga"


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    seconds = max(0.5, SECONDS * scale)
    rounds = max(1, round(ROUNDS * min(1.0, scale)))
    async with arena() as field:
        servers = [await field.ours(), await field.ours(f"{OURS}, rows in memory", memory=True)]
        if field.has_peers:
            servers.append(await field.peer(PEER, "yoga.mjs"))
            servers.append(await field.peer("apollo", "apollo.mjs"))
        found: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
        for server in servers:
            await _round(field, server, WARM_SECONDS * min(1.0, scale))
        for _ in range(rounds):
            for server in servers:
                found[server.name].append(await _round(field, server, seconds))
    rows = [_row(name, figures) for name, figures in found.items()]
    print(table(rows))
    goals = _goals({row["server"]: row for row in rows})
    print("\n".join(goals))
    print(f"kept in {write('queries', {'rows': rows, 'rounds': found, 'goals': goals})}")


async def _round(field: Arena, server: Server, seconds: float) -> dict[str, float]:
    query = QUERY % ("UUID" if server.name.startswith(OURS) else "ID")
    requests = [
        post(server.port, field.authorization, query, {"u": str(uuid)}) for uuid in field.agents
    ]
    used = cpu_seconds(server.pid)
    answers = await load(server.port, requests, connections=CONNECTIONS, seconds=seconds)
    used = cpu_seconds(server.pid) - used
    assert not answers.bad, answers.bad[0]
    count = len(answers.latencies)
    return {
        "req/s": count / answers.seconds,
        "cpu ms": used / count * 1_000,
        "cpu": used / answers.seconds,
        "p50 ms": float(np.percentile(answers.latencies, 50)) * 1_000,
        "p99 ms": float(np.percentile(answers.latencies, 99)) * 1_000,
    }


def _row(name: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return statistics.median(each[key] for each in rounds)

    rates = [each["req/s"] for each in rounds]
    return {
        "server": name,
        "req/s": round(median("req/s")),
        "range": f"{min(rates):.0f}-{max(rates):.0f}",
        "CPU ms/req": round(median("cpu ms"), 3),
        "req per CPU-s": round(1_000 / median("cpu ms")),
        "CPU share": round(median("cpu"), 2),
        "p50 ms": round(median("p50 ms"), 1),
        "p99 ms": round(median("p99 ms"), 1),
    }


def _goals(rows: dict[str, dict[str, Any]]) -> list[str]:
    if PEER not in rows:
        return []
    return [
        f"goal: at least 1.0 x {PEER}'s req/s; {name}: "
        f"{rows[name]['req/s'] / rows[PEER]['req/s']:.2f} x, "
        f"per CPU second {rows[name]['req per CPU-s'] / rows[PEER]['req per CPU-s']:.2f} x"
        for name in rows
        if name.startswith(OURS)
    ]
