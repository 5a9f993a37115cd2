"""Ten thousand points: the executor alone, and over HTTP beside graphql-yoga.

As columns (two lists of numbers) and as a list of objects. Yoga has typed lists, lists within
scalars, and objects.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import SecretStr

from benchmarks.arena import Arena, arena
from benchmarks.http_load import load, post
from benchmarks.memory import START_MS, FixedSeries, sine
from benchmarks.people import SECRET
from benchmarks.report import table, write
from core.callers import Caller, Role
from core.policy import BrokerAddress
from core.reading_store import AgentTelemetry
from core.readings import SeriesInfo, SeriesSpec, Telemetry
from fleetgraph.services import open_services
from fleetgraph.setting_sections import DataSettings
from fleetgraph.settings import Settings
from models.agents import Agent
from models.database import DatabaseUrl, close_rows
from schema.context import GraphQLContext
from schema.execution.engine import Engine
from schema.execution.requests import GraphQLRequest
from schema.root import schema

POINTS = 10_000
GOAL_MS = 5.0
_ASK = '{ series(select: {}, start: "2026-09-01T00:00:00Z", end: "2026-11-01T00:00:00Z") { %s } }'
COLUMNS, OBJECTS = _ASK % "timestamps values", _ASK % "points { time value }"
YOGA = {
    "yoga, typed lists": "{ series { timestamps values } }",
    "yoga, lists in scalars": "{ series { timestampColumn valueColumn } }",
    "yoga, objects": "{ series { points { time value } } }",
}


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    turns = max(3, int(60 * scale))
    rows: list[dict[str, Any]] = []
    async with arena(1) as field:
        await _record(field)
        memory, stored = await field.ours("memory", memory=True), await field.ours("stored")
        asked = [
            ("fleetgraph, columns, rows in memory", memory, COLUMNS),
            ("fleetgraph, columns, from PostgreSQL", stored, COLUMNS),
            ("fleetgraph, objects, rows in memory", memory, OBJECTS),
        ]
        if field.has_peers:
            yoga = await field.peer("yoga", "yoga.mjs")
            asked += [(name, yoga, query) for name, query in YOGA.items()]
        found: dict[str, list[float]] = {name: [] for name, _, _ in asked}
        sizes: dict[str, int] = {}
        for turn in range(4):
            for name, server, query in asked:
                count = turns // 3 if "objects" not in name else max(1, turns // 12)
                request = post(server.port, field.authorization, query)
                answers = await load(
                    server.port, [request], connections=1, seconds=30.0, count=count
                )
                assert not answers.bad, answers.bad[0]
                if turn:  # the first is to get warm
                    found[name] += answers.latencies
                sizes[name] = answers.bytes_each
        rows += [_row(name, times, sizes[name]) for name, times in found.items()]
        executor = await _executor(field, turns)
    rows = [_row(f"executor alone, {name}", times, 0) for name, times in executor.items()] + rows
    print(table(rows))
    lists = next((row["ms"] for row in rows if row["what"] == "yoga, typed lists"), None)
    goals = [f"goal: columns in under {GOAL_MS} ms of executor time; {rows[0]['ms']} ms"]
    if lists:
        over = next(row["ms"] for row in rows if row["what"].endswith("columns, rows in memory"))
        goals.append(f"goal: at most 1.0 x yoga's typed lists over HTTP; {over / lists:.2f} x")
    print("\n".join(goals))
    print(f"kept in {write('series', {'rows': rows, 'goals': goals})}")


def _row(name: str, seconds: list[float], size: int) -> dict[str, Any]:
    return {
        "what": name,
        "ms": round(statistics.median(seconds) * 1_000, 2),
        "p95 ms": round(float(np.percentile(seconds, 95)) * 1_000, 2),
        "answers": len(seconds),
        "kB": round(size / 1_000) or "",
    }


async def _executor(field: Arena, turns: int) -> dict[str, list[float]]:
    """Time the engine in this process: from the prepared operation to the answer's data."""
    await close_rows()  # opened anew by the services
    folder = field.folder / "executor"
    settings = Settings(data=DataSettings(dir=folder, secret=SecretStr(SECRET)))
    url = DatabaseUrl.parse(field.dsn)
    found: dict[str, list[float]] = {}
    async with open_services(
        settings, url, secret=SECRET, data_dir=folder, broker=BrokerAddress(), alone=True
    ) as services:
        agent = await Agent.all().first()
        assert agent is not None
        info = SeriesInfo(1, field.tenant_id, agent.id, agent.uuid, "d", "temp", "", "", "", "")
        columns = sine(info, POINTS)
        store = FixedSeries(services.pool, services.clock, services.policy, columns)
        services = replace(services, readings=store)
        caller = Caller(Role.OWNER, field.tenant_id, user_id=services.ids.uuid())
        engine = Engine(schema)
        for name, query in (("columns", COLUMNS), ("objects", OBJECTS)):
            times = []
            for _ in range(turns):
                context = GraphQLContext(services.context(caller))
                prepared = engine.prepare(GraphQLRequest(query), context)
                started = time.perf_counter()
                answer = await engine.run(prepared, None, context)
                times.append(time.perf_counter() - started)
                assert answer.data, answer.errors
            found[name] = times
    return found


async def _record(field: Arena) -> None:
    """Store the same readings in PostgreSQL."""
    folder = field.folder / "recording"
    settings = Settings(data=DataSettings(dir=folder, secret=SecretStr(SECRET)))
    url = DatabaseUrl.parse(field.dsn)
    await close_rows()
    async with open_services(
        settings, url, secret=SECRET, data_dir=folder, broker=BrokerAddress(), alone=True
    ) as services:
        agent = await Agent.all().first()
        assert agent is not None
        telemetry = Telemetry(
            specs=[SeriesSpec("d", "temp", "", "", "", "")] * POINTS,
            times_us=START_MS * 1_000 + np.arange(POINTS, dtype=np.int64) * 1_000_000,
            values=20 + np.sin(np.arange(POINTS) / 50),
            kinds=np.zeros(POINTS, dtype=np.int8),
            qualities=np.zeros(POINTS, dtype=np.int8),
        )
        one = AgentTelemetry(field.tenant_id, agent.id, agent.uuid, telemetry)
        await services.readings.append([one])
