"""Committed readings per second through a real broker, beside the decode-only ceiling.

Publisher, broker, ingest and database share the machine; each variant runs alone, in turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.report import cpu_seconds, table, write
from benchmarks.stack import Stack, running
from fleetgraph.simulator.load import LoadOptions, LoadResult
from fleetgraph.simulator.payloads import Payload

MODES = ("decode", "hot", "latest", "all")
START_MS = 1_790_000_000_000  # within the window that clocks may be off, for a year
OFFSET_MS = {Payload.COMPACT: 0, Payload.RECORDED: 50_000_000}
SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Variant:
    """One measurement: what the store does, and what a message looks like."""

    mode: str
    payload: Payload
    messages: int
    readings_per_message: int


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    rows: list[dict[str, Any]] = []
    async with running(agents=4) as stack:
        for payload, messages, per_message in (
            (Payload.COMPACT, int(60_000 * scale), 10),
            (Payload.RECORDED, int(4_000 * scale), 36),
        ):
            ceiling = None
            for turn, mode in enumerate(MODES):
                variant = Variant(mode, payload, messages, per_message)
                figures = await _measure(stack, variant, turn, payload)
                ceiling = ceiling or figures["readings/s"]
                figures["of ceiling"] = f"{figures['readings/s'] / ceiling:.0%}"
                rows.append(figures)
                print(table([rows[-1]]) if turn == 0 else table([rows[-1]]).splitlines()[1])
    print("\n" + table(rows))
    print(f"kept in {write('ingest', {'rows': rows})}")


async def _measure(stack: Stack, variant: Variant, turn: int, payload: Payload) -> dict[str, Any]:
    client = f"bench-{variant.mode}-{payload}"
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.worker", variant.mode),
        *(stack.dsn, stack.broker_url, client),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert worker.stdout is not None
        await worker.stdout.readline()  # it runs, and its subscription follows at once
        await asyncio.sleep(1.0)
        before = _cpu(stack, worker.pid)
        started = time.time()
        loading = asyncio.create_task(blast(stack, variant, turn))
        finished = await done_after(worker.stdout, variant.messages * variant.readings_per_message)
        result = await loading
        spent = {name: after - before[name] for name, after in _cpu(stack, worker.pid).items()}
    finally:
        worker.kill()
        await worker.wait()
    seconds = finished - started
    return {
        "payload": str(payload.value),
        "store": variant.mode,
        "messages/s": round(result.sent / seconds),
        "readings/s": round(result.readings / seconds),
        "ingest µs/msg": round(spent["ingest"] / result.sent * 1e6),
        "broker µs/msg": round(spent["broker"] / result.sent * 1e6),
    }


async def blast(stack: Stack, variant: Variant, turn: int) -> LoadResult:
    """Publish the variant's messages from a process of its own, as fast as the broker takes them."""
    options = LoadOptions(
        host="127.0.0.1",
        port=stack.broker.port,
        targets=stack.targets,
        messages=variant.messages,
        readings_per_message=variant.readings_per_message,
        series=variant.readings_per_message * 25,
        payload=variant.payload,
        # Each turn has times of its own, so that no variant meets another's readings.
        start_ms=START_MS + turn * 100_000_000 + OFFSET_MS[variant.payload],
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fleetgraph.simulator.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(msgspec.json.encode(options))
    return msgspec.json.decode(output, type=LoadResult)


async def done_after(stream: asyncio.StreamReader, wanted: int) -> float:
    """Return when the worker had done `wanted` readings."""
    async with asyncio.timeout(SECONDS_MAX):
        while line := await stream.readline():
            state = json.loads(line)
            if state["done"] >= wanted:
                return float(state["at"])
    raise RuntimeError("the ingest process ended early")


def _cpu(stack: Stack, pid: int) -> dict[str, float]:
    assert stack.broker.pid is not None
    return {"ingest": cpu_seconds(pid), "broker": cpu_seconds(stack.broker.pid)}


if __name__ == "__main__":
    asyncio.run(main())
