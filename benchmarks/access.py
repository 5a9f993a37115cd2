"""What it costs to know who calls and to check what they may, per request.

Each figure is processor time of one process, the median of several rounds; PostgreSQL's own comes
on top. The share is of what the server takes for a whole three-field query.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import asyncpg
from graphql import OperationDefinitionNode, parse

from benchmarks.arena import Arena, arena
from benchmarks.http_load import load, post
from benchmarks.logins import KEY, give_key
from benchmarks.queries import CONNECTIONS, QUERY
from benchmarks.report import cpu_seconds, table, write
from core.access import Permission, UseCase, allow, check, holds
from core.callers import Caller, Role
from core.context import Context
from core.policy import BrokerAddress
from fleetgraph.credentials import caller_of
from fleetgraph.services import open_services
from fleetgraph.settings import Settings
from models.connection import fetch
from models.database import DatabaseUrl
from resolvers.api_keys import create_api_key
from schema.execution.permissions import Access
from schema.root import schema

ROUNDS = 7
CALLS = 20_000
LOOKUPS = 400


@dataclass(slots=True)
class Counted:
    """How many statements went out."""

    statements: int = 0


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    async with arena(agents=100) as field:
        await give_key(field)
        whole = await _whole_query(field, 4.0 * scale)
        settings = Settings()
        async with open_services(
            settings,
            DatabaseUrl.parse(field.dsn),
            secret=field.secret,
            data_dir=field.folder,
            broker=BrokerAddress(),
            alone=True,
        ) as services:
            owner = (await fetch("select id from user_account"))[0]["id"]
            ctx = services.context(Caller(Role.OWNER, field.tenant_id, user_id=owner))
            rows = await _checks(ctx, max(1_000, round(CALLS * scale)))
            rows += await _lookups(ctx, field, max(50, round(LOOKUPS * scale)))
    for row in rows:
        row["share of a query"] = f"{row['CPU us'] / whole / 10_000:.2f} %"
    print(f"a three-field query takes {whole * 1_000:.3f} ms of processor time")
    print(table(rows))
    print(f"kept in {write('access', {'rows': rows, 'query_cpu_seconds': whole})}")


async def _whole_query(field: Arena, seconds: float) -> float:
    """Return processor seconds of the server per query."""
    server = await field.ours()
    requests = [
        post(server.port, field.authorization, QUERY % "UUID", {"u": str(uuid)})
        for uuid in field.agents
    ]
    await load(server.port, requests, connections=CONNECTIONS, seconds=seconds / 4)
    used = cpu_seconds(server.pid)
    answers = await load(server.port, requests, connections=CONNECTIONS, seconds=seconds)
    used = cpu_seconds(server.pid) - used
    await server.stop()
    assert not answers.bad, answers.bad[0]
    return used / len(answers.latencies)


async def _checks(ctx: Context, calls: int) -> list[dict[str, Any]]:
    document = parse(QUERY % "UUID")
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    access = Access.to(schema._schema, document, operation)
    owner = ctx.caller
    narrowed = replace(owner, scopes=frozenset({"device:read"}))
    use_case = UseCase("agents.get_agent", (Permission.DEVICE_READ, Permission.AGENT_SELF))

    async def bare(ctx: Context) -> None:
        return None

    guarded = allow(Permission.DEVICE_READ)(bare)
    timed = {
        "Access.check, a person": lambda: access.check(owner),
        "Access.check, an API key": lambda: access.check(narrowed),
        "holds": lambda: holds(narrowed, Permission.DEVICE_READ),
        "check of a use case": lambda: check(owner, use_case),
    }
    rows = [_row(name, _time(call, calls)) for name, call in timed.items()]
    apart = await _time_of(lambda: guarded(ctx), calls) - await _time_of(lambda: bare(ctx), calls)
    return [*rows, _row("@allow around a use case", apart)]


async def _lookups(ctx: Context, field: Arena, calls: int) -> list[dict[str, Any]]:
    key = await create_api_key(ctx, "bench", scopes=["device:read"])
    headers = {
        "access token": {"authorization": field.authorization},
        "API key": {"authorization": f"Bearer {key.text}"},
        "device key": {"x-device-api-key": KEY},
    }
    rows = []
    for name, each in headers.items():
        await caller_of(ctx, each)
        with _counted() as counted:
            await caller_of(ctx, each)
        taken = await _time_of(lambda each=each: caller_of(ctx, each), calls)  # type: ignore[misc]
        rows.append(_row(f"caller by {name}", taken) | {"statements": counted.statements})
    return rows


def _row(name: str, seconds: float) -> dict[str, Any]:
    return {"what": name, "CPU us": round(seconds * 1e6, 2), "statements": 0}


def _time(call: Callable[[], object], calls: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            call()
        rounds.append((time.process_time() - started) / calls)
    return median(rounds)


async def _time_of(call: Callable[[], Awaitable[object]], calls: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(calls):
            await call()
        rounds.append((time.process_time() - started) / calls)
    return median(rounds)


@contextmanager
def _counted() -> Any:
    """Count the statements of all connections of the process."""
    counted, inner = Counted(), asyncpg.Connection._do_execute

    async def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        counted.statements += 1
        return await inner(self, *args, **kwargs)

    asyncpg.Connection._do_execute = noted
    try:
        yield counted
    finally:
        asyncpg.Connection._do_execute = inner
