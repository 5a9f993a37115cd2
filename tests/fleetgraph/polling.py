"""An agent that polls the real application, whose memory of polls has its workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette

from core.context import Context
from fleetgraph.poll_memory import PollMemory, poll_workers
from models.agents import Agent
from tests.contracts.serving import give_key
from tests.factories import make_agent
from tests.fleetgraph.applications import app_of
from tests.resolvers.edge import system
from workers.supervisor import Supervisor


@dataclass
class Polling:
    """One replica of the API and an agent of it."""

    app: Starlette
    memory: PollMemory
    client: httpx.AsyncClient
    agent: Agent
    key: str

    @property
    def path(self) -> str:
        return f"/api/v1/device/{self.agent.uuid}/state"

    async def poll(self, validator: str | None = None, **headers: str) -> httpx.Response:
        headers = {"x-device-api-key": self.key, **headers}
        if validator is not None:
            headers["if-none-match"] = validator
        await asyncio.sleep(0)  # no socket brings two requests in one turn of the loop
        return await self.client.get(self.path, headers=headers)

    async def warm(self) -> str:
        """Let the memory know what the agent gets; return its ETag as it was sent.

        With its first call a key takes the place of older ones, after which nothing is known.
        """
        await self.poll()
        answer = await self.poll()
        assert answer.status_code == 200, answer.text
        assert len(self.memory) >= 1
        return str(answer.headers["etag"])


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def polling(
    ctx: Context, agent: Agent | None = None, key: str | None = None
) -> AsyncIterator[Polling]:
    """Run a replica on the parts in `ctx`."""
    agent = agent or await make_agent(ctx)
    key = key or await give_key(ctx, agent)
    app = app_of(ctx)
    memory: PollMemory = app.state.polls
    supervisor = Supervisor(poll_workers(memory, system(ctx)))
    supervisor.start()
    transport = httpx.ASGITransport(app)
    try:
        await until(lambda: memory.hears_all)
        async with httpx.AsyncClient(transport=transport, base_url="http://fleet.test") as client:
            yield Polling(app, memory, client, agent, key)
    finally:
        await supervisor.stop()
