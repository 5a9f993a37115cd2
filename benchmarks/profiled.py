"""Where our server spends its time on small queries: cProfile's figures, by own time.

The profiler itself slows every call down: the order of the lines counts, not their sum.
"""

from __future__ import annotations

import asyncio
import pstats

from benchmarks.arena import arena
from benchmarks.http_load import load, post
from benchmarks.queries import CONNECTIONS, QUERY

_LINES = 45


async def main(scale: float = 1.0) -> None:
    """Print the profile, with the database behind and with the rows in memory."""
    for memory in (False, True):
        async with arena() as field:
            path = field.folder / "profile"
            server = await field.ours(memory=memory, profile=str(path))
            requests = [
                post(server.port, field.authorization, QUERY % "UUID", {"u": str(uuid)})
                for uuid in field.agents
            ]
            answers = await load(server.port, requests, connections=CONNECTIONS, seconds=4.5)
            async with asyncio.timeout(30):
                await server.process.wait()
            print(f"\n{len(answers.latencies)} requests, rows {'in memory' * memory or 'in SQL'}")
            pstats.Stats(str(path)).sort_stats("tottime").print_stats(_LINES)
