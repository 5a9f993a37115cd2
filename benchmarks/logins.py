"""Logins per second, and how long other requests take while they saturate a core.

Passwords are hashed as by default. Beside the logins a hundred three-field queries and a hundred
polls of agents come per second, at an even pace.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.arena import Arena, Server, arena
from benchmarks.http_load import Answers, load, post, request
from benchmarks.queries import QUERY
from benchmarks.report import cpu_seconds, table, write
from core.callers import Role
from core.clock import SystemClock
from core.ids import RandomIds, secret_hash
from core.passwords import Passwords
from models.agents import Agent
from models.device_keys import DeviceKey
from models.users import User
from resolvers.device_callers import DEVICE_KEY_PURPOSE

CLIENTS = (0, 1, 4, 16)
SECONDS = 8.0
PAUSE = 0.01
PASSWORD = "a battery of correct horses"
KEY = "v2_9f01ab23_" + 64 * "0"


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    seconds = max(1.0, SECONDS * scale)
    async with arena(agents=100) as field:
        names = await _people(field, max(CLIENTS))
        await give_key(field)
        server = await field.ours()
        await _round(field, server, names, 1, seconds / 4)  # warms it up
        rows = [await _round(field, server, names, number, seconds) for number in CLIENTS]
        both = await field.ours("as many hashes as cores", hashers=2)
        rows += [await _round(field, both, names, number, seconds) for number in CLIENTS[-1:]]
    print(table(rows))
    print(f"kept in {write('logins', {'rows': rows})}")


async def _people(field: Arena, count: int) -> list[str]:
    ids, now = RandomIds(), SystemClock().now()
    password_hash = await Passwords().hash(PASSWORD)
    for number in range(count):
        await User.create(
            id=ids.uuid(),
            tenant_id=field.tenant_id,
            username=f"person-{number}",
            email=f"person-{number}@example.com",
            password_hash=password_hash,
            role=Role.VIEWER,
            created_at=now,
        )
    return [f"person-{number}" for number in range(count)]


async def give_key(field: Arena) -> UUID:
    """Let the first agent come with KEY."""
    now = SystemClock().now()
    agent = await Agent.find_row(field.tenant_id, uuid=field.agents[0])
    await DeviceKey.create(
        tenant_id=field.tenant_id,
        agent_id=agent.id,
        key_hash=secret_hash(DEVICE_KEY_PURPOSE, KEY),
        created_at=now,
        proven_at=now,
    )
    return agent.uuid


async def _round(
    field: Arena, server: Server, names: list[str], clients: int, seconds: float
) -> dict[str, Any]:
    port, agent = server.port, field.agents[0]
    queries = [
        post(port, field.authorization, QUERY % "UUID", {"u": str(uuid)}) for uuid in field.agents
    ]
    polls = [request("GET", f"/api/v1/device/{agent}/state", port, X_Device_API_Key=KEY)]
    logins = [
        request("POST", "/api/v1/auth/login", port, {"username": name, "password": PASSWORD})
        for name in names
    ]
    used = cpu_seconds(server.pid)
    query, poll, login = await asyncio.gather(
        load(port, queries, connections=1, seconds=seconds, pause=PAUSE),
        load(port, polls, connections=1, seconds=seconds, pause=PAUSE),
        load(port, logins, connections=clients, seconds=seconds),
    )
    used = cpu_seconds(server.pid) - used
    for answers in (query, poll, login):
        assert not answers.bad, answers.bad[0]
    return {
        "server": server.name,
        "login clients": clients,
        "logins/s": round(len(login.latencies) / login.seconds, 1),
        "login p50 ms": _ms(login, 50),
        "query p50 ms": _ms(query, 50),
        "p99": _ms(query, 99),
        "poll p50 ms": _ms(poll, 50),
        "p99 ": _ms(poll, 99),
        "CPU": round(used / max(query.seconds, login.seconds), 2),
    }


def _ms(answers: Answers, percent: float) -> float | str:
    if not answers.latencies:
        return "-"
    return round(float(np.percentile(answers.latencies, percent)) * 1_000, 1)
