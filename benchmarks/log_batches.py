"""Log batches that agents send twice at the same time: each is stored once, both are answered.

A hundred agents each send a packed batch of 200 lines, and the same batch again while the first is
under way. Then what a line costs: the same load once, each batch new, with processor time.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any, Final
from uuid import UUID

import httpx

from benchmarks.arena import Arena, Server, arena
from benchmarks.report import cpu_seconds, table, write
from core.clock import SystemClock, micros
from core.ids import secret_hash
from models.agents import Agent
from models.connection import fetch
from models.device_keys import DeviceKey
from resolvers.device_callers import DEVICE_KEY_PURPOSE

BATCHES: Final = 100
LINES: Final = 200
ROUNDS: Final = 5
CONNECTIONS: Final = 16


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures; fails when a batch is lost or doubled."""
    count = max(10, round(BATCHES * scale))
    async with arena(agents=count) as field:
        keys = [await _give_key(field, uuid) for uuid in field.agents]
        server = await field.ours()
        rows = []
        for number in range(max(1, round(ROUNDS * min(1.0, scale)))):
            bodies = [_batch(f"{number}-{at}") for at in range(count)]
            rows.append(await _round(field, server, keys, bodies, f"{number}", twice=True))
        bodies = [_batch(f"single-{at}") for at in range(count)]
        rows.append(await _round(field, server, keys, bodies, "single", twice=False))
    print(table(rows))
    print(f"kept in {write('log_batches', {'rows': rows})}")


async def _give_key(field: Arena, uuid: UUID) -> str:
    agent = await Agent.find_row(field.tenant_id, uuid=uuid)
    key = f"v2_9f01ab23_{uuid.hex}{uuid.hex}"
    now = SystemClock().now()
    await DeviceKey.create(
        tenant_id=field.tenant_id,
        agent_id=agent.id,
        key_hash=secret_hash(DEVICE_KEY_PURPOSE, key),
        created_at=now,
        proven_at=now,
    )
    return key


def _batch(mark: str) -> bytes:
    now_ms = micros(SystemClock().now()) // 1_000
    lines = (
        {
            "timestamp": now_ms - at * 150,
            "level": ("info", "warn", "error", "debug")[at % 4],
            "message": f"batch {mark} line {at}: read 12 registers of press {at % 7} in 31 ms",
            "source": {"type": "system", "name": f"Endpoint{at % 5}"},
            "isSystem": True,
            "context": {"component": "modbus", "attempt": at},
        }
        for at in range(LINES)
    )
    return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


async def _round(
    field: Arena, server: Server, keys: list[str], bodies: list[bytes], name: str, *, twice: bool
) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=CONNECTIONS)
    base = f"http://127.0.0.1:{server.port}/api/v1/device"
    before = await _stored(field)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def send(at: int) -> httpx.Response:
            headers = {
                "X-Device-API-Key": keys[at],
                "X-Batch-Id": f"{field.agents[at]}-{name}",
                "Content-Type": "application/x-ndjson",
                "Content-Encoding": "gzip",
            }
            url = f"{base}/{field.agents[at]}/logs"
            return await client.post(url, content=bodies[at], headers=headers)

        used, started = cpu_seconds(server.pid), time.perf_counter()
        turns = [at for at in range(len(bodies)) for _ in range(2 if twice else 1)]
        answers = await asyncio.gather(*map(send, turns))
        seconds, used = time.perf_counter() - started, cpu_seconds(server.pid) - used
    for at, answer in zip(turns, answers, strict=True):
        assert answer.status_code in {200, 202}, answer.text
        assert answer.json()["batchId"] == f"{field.agents[at]}-{name}"
    stored = await _stored(field) - before
    duplicates = sum(answer.status_code == 200 for answer in answers)
    assert stored == len(bodies) * LINES, f"{stored} lines are stored"
    assert duplicates == len(answers) - len(bodies)
    return {
        "round": name,
        "sent": len(answers),
        "stored": stored // LINES,
        "duplicates": duplicates,
        "batches/s": round(len(answers) / seconds),
        "lines/s stored": round(stored / seconds),
        "server CPU µs/line": round(used / stored * 1e6, 1),
    }


async def _stored(field: Arena) -> int:
    (row,) = await fetch(
        "select count(*) as number from device_log where tenant_id = $1", field.tenant_id
    )
    return int(row["number"])


if __name__ == "__main__":
    asyncio.run(main())
