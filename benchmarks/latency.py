"""From publish to the push at a subscriber's socket: idle, and at half of what ingest can take.

`serve` and `work` run as separate processes, so the poke between them goes through PostgreSQL.
A probe publishes its own clock as the value; the subscriber subtracts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
import websockets
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from benchmarks.ingest import START_MS, Variant, blast, done_after
from benchmarks.people import SECRET, access_token_of
from benchmarks.report import table, write
from benchmarks.stack import Stack, running
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.simulator.load import LoadOptions, LoadResult
from fleetgraph.simulator.payloads import Payload
from models.users import User

PROBES = 400
PROBE_SECONDS = 0.05
METRIC = "probe"


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    async with running(agents=4) as stack:
        rate = await _limit(stack, int(40_000 * scale))
        async with _program(stack) as port:
            token = await _token(stack)
            rows = [await _measure(stack, port, token, "idle", None)]
            rows.append(await _measure(stack, port, token, "half load", rate / 2))
    print(table(rows))
    print(f"kept in {write('latency', {'messages_per_second_limit': rate, 'rows': rows})}")


async def _limit(stack: Stack, messages: int) -> float:
    """Return how many messages of ten readings per second the full store takes."""
    variant = Variant("all", Payload.COMPACT, messages, 10)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.worker", "all"),
        *(stack.dsn, stack.broker_url, "bench-limit"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert worker.stdout is not None
        await worker.stdout.readline()
        await asyncio.sleep(1.0)
        started = time.time()
        loading = asyncio.create_task(blast(stack, variant, 9))
        finished = await done_after(worker.stdout, messages * 10)
        await loading
    finally:
        worker.kill()
        await worker.wait()
    return messages / (finished - started)


@asynccontextmanager
async def _program(stack: Stack) -> AsyncIterator[int]:
    port = find_free_port("127.0.0.1", 23_002)
    environment = os.environ | {
        "FLEETGRAPH_DATABASE_URL": stack.dsn,
        "FLEETGRAPH_MQTT_URL": stack.broker_url,
        "FLEETGRAPH_DATA_SECRET": SECRET,
        "FLEETGRAPH_DATA_DIR": str(stack.folder / "program"),
        "FLEETGRAPH_LOG_LEVEL": "warning",
        "FLEETGRAPH_LIMIT_GLOBAL_PER_MINUTE": "1000000000",
    }
    commands = (["serve", "--port", str(port)], ["work", "ingest", "liveness"])
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fleetgraph", *command, env=environment
        )
        for command in commands
    ]
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        await asyncio.sleep(2.0)
        yield port
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await process.wait()


async def _token(stack: Stack) -> str:
    user = await User.filter(username="admin").first()
    assert user is not None
    # The probe's agents belong to the benchmark's tenant, so its reader must as well.
    user.tenant_id = stack.tenant_id
    await user.save(update_fields=["tenant_id"])
    return await access_token_of(user)


async def _measure(
    stack: Stack, port: int, token: str, name: str, rate: float | None
) -> dict[str, Any]:
    load = asyncio.create_task(_load(stack, rate)) if rate else None
    await asyncio.sleep(2.0)
    latencies = await _probe(stack, port, token)
    if load is not None:
        load.cancel()
    milliseconds = np.array(latencies) * 1000
    return {
        "load": name,
        "messages/s": round(rate or 0),
        "probes": len(latencies),
        "p50 ms": round(float(np.percentile(milliseconds, 50)), 1),
        "p99 ms": round(float(np.percentile(milliseconds, 99)), 1),
        "max ms": round(float(milliseconds.max()), 1),
    }


async def _load(stack: Stack, rate: float) -> LoadResult:
    options = LoadOptions(
        host="127.0.0.1",
        port=stack.broker.port,
        targets=stack.targets[1:],
        seconds=PROBES * PROBE_SECONDS + 5,
        series=250,
        messages_per_second=rate,
        start_ms=START_MS + 900_000_000,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetgraph.simulator.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate(msgspec.json.encode(options))
    finally:
        if process.returncode is None:
            process.kill()
    return msgspec.json.decode(output, type=LoadResult)


async def _probe(stack: Stack, port: int, token: str) -> list[float]:
    target = stack.targets[0]
    publisher = Client(f"probe_{target.client_id}", clean_session=True)
    publisher.set_auth_credentials(target.username, target.password)
    await publisher.connect("127.0.0.1", stack.broker.port, version=MQTTv311)
    found: list[float] = []
    try:
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/graphql",
            subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
        ) as socket:
            await _subscribe(socket, token, str(stack.agents[0].uuid))
            reader = asyncio.create_task(_read(socket, found))
            for number in range(PROBES):
                now = time.time()
                reading = {"metric": METRIC, "value": now, "deviceName": "probe"}
                # The time makes the reading's identity; the value carries the full clock.
                stamp = int(now * 1000)
                body = {"readings": [reading | {"timestamp": stamp}], "n": number}
                publisher.publish(f"{target.topic_prefix}/endpoints/probe", json.dumps(body), qos=1)
                await asyncio.sleep(PROBE_SECONDS)
            await asyncio.sleep(2.0)
            reader.cancel()
    finally:
        await publisher.disconnect()
    return found


async def _subscribe(socket: Any, token: str, agent: str) -> None:
    await socket.send(
        json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    )
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    query = "subscription($a: UUID!) { readings(agentUuid: $a) { metric values } }"
    payload = {"query": query, "variables": {"a": agent}}
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    await asyncio.sleep(1.0)


async def _read(socket: Any, found: list[float]) -> None:
    started = time.time()
    async for text in socket:
        now = time.time()
        message = json.loads(text)
        if message["type"] == "next":
            values = message["payload"]["data"]["readings"]["values"]
            found += [now - value for value in values if value > started]
