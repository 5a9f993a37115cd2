"""Polls of agents per second: those that have the newest target state already, and those that do not.

A thousand agents with a document of about 2 KB each, over connections that stay open. The server
uses one core at most; what counts is polls per second of its processor time.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from benchmarks.arena import Arena, Server, arena
from benchmarks.http_load import Answers, load, request
from benchmarks.report import cpu_seconds, table, write
from core.clock import SystemClock
from core.etag import state_etag
from core.ids import RandomIds, secret_hash
from models.agents import Agent
from models.connection import fetch
from models.device_keys import DeviceKey
from models.target_states import TargetState
from resolvers.device_callers import DEVICE_KEY_PURPOSE

AGENTS = 1_000
CONNECTIONS = 32
SECONDS = 8.0
GOAL = 5_000
SETTLE_SECONDS = 11.0
"""How long PostgreSQL's idle connections may keep their counts to themselves."""

CONFIG = {
    "endpoints": [
        {"uuid": f"6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f6{n}", "name": f"plc-{n}", "n": "x" * 200}
        for n in range(8)
    ]
}
ETAG = state_etag({}, CONFIG)


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    seconds = max(1.0, SECONDS * scale)
    async with arena(agents=AGENTS) as field:
        keys = await _equip(field)
        server = await field.ours()
        fresh = _polls(field, server, keys, '"nothing"')
        known = _polls(field, server, keys, f'"{ETAG}"')
        for _ in range(2):  # with its first call a key takes the place of older ones
            await load(server.port, known, connections=4, seconds=60.0, count=len(known))
        rows = [
            await _round(server, "304 from memory", known, seconds),
            await _round(server, "200 of the endpoint", fresh, seconds),
        ]
    print(table(rows))
    first = rows[0]
    goal = (
        f"goal: {GOAL} polls/s on one core without SQL; {first['per core']} per core,"
        f" {first['transactions']} transactions beside {first['polls']} polls"
    )
    print(goal)
    print(f"kept in {write('polls', {'rows': rows, 'goals': [goal]})}")


async def _equip(field: Arena) -> list[str]:
    """Give each agent a key and a target state; returns the keys."""
    ids, now = RandomIds(), SystemClock().now()
    agents = await Agent.of(field.tenant_id).order_by("id")
    keys = [f"v2_{number:08x}_{ids.secret_hex(32)}" for number in range(len(agents))]
    await DeviceKey.bulk_create(
        [
            DeviceKey(
                tenant_id=field.tenant_id,
                agent_id=agent.id,
                key_hash=secret_hash(DEVICE_KEY_PURPOSE, key),
                created_at=now,
                proven_at=now,
            )
            for agent, key in zip(agents, keys, strict=True)
        ]
    )
    await TargetState.bulk_create(
        [
            TargetState(
                tenant_id=field.tenant_id,
                agent_id=agent.id,
                version=2,
                apps={},
                config=CONFIG,
                etag=ETAG,
                updated_at=now,
            )
            for agent in agents
        ]
    )
    field.agents[:] = [agent.uuid for agent in agents]
    return keys


def _polls(field: Arena, server: Server, keys: list[str], validator: str) -> list[bytes]:
    return [
        request(
            "GET",
            f"/api/v1/device/{uuid}/state",
            server.port,
            X_Device_API_Key=key,
            If_None_Match=validator,
            Accept="*/*",
            User_Agent="undici",
        )
        for uuid, key in zip(field.agents, keys, strict=True)
    ]


async def _round(server: Server, name: str, polls: list[bytes], seconds: float) -> dict[str, Any]:
    await asyncio.sleep(SETTLE_SECONDS)
    sql, used = await _transactions(), cpu_seconds(server.pid)
    answers = await load(server.port, polls, connections=CONNECTIONS, seconds=seconds)
    used = cpu_seconds(server.pid) - used
    await asyncio.sleep(SETTLE_SECONDS)
    assert not answers.bad, answers.bad[0]
    count = len(answers.latencies)
    return {
        "polls of": name,
        "polls": count,
        "per second": round(count / answers.seconds),
        "per core": round(count / used),
        "p50 ms": _ms(answers, 50),
        "p99 ms": _ms(answers, 99),
        "transactions": await _transactions() - sql,
        "bytes": answers.bytes_each,
    }


async def _transactions() -> int:
    """Return how many transactions the server's database has seen, ours of counting among them."""
    rows = await fetch(
        "select xact_commit + xact_rollback as number from pg_stat_database"
        " where datname = current_database()"
    )
    return int(rows[0]["number"])


def _ms(answers: Answers, percent: float) -> float:
    return round(float(np.percentile(answers.latencies, percent)) * 1_000, 1)
