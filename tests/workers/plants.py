"""Agents that send, and an ingest that receives without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from core.callers import system_caller
from core.context import Context
from core.errors import Unavailable
from core.mqtt_topics import agent_username
from core.reading_store import AgentTelemetry, AppendResult, SeriesFilter, TimeRange
from models.agents import Agent
from models.connection import fetch
from models.tenants import get_tenant
from workers.ingest import Ingest
from workers.mqtt import BrokerLink

T0 = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SPAN = TimeRange(T0 - timedelta(days=1), T0 + timedelta(days=1))


class Link:
    """A broker link that says whether it was told to wait."""

    def __init__(self) -> None:
        self.paused = False

    async def run(self) -> None:
        await asyncio.Event().wait()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class Store:
    """The real store, behind a door that a test opens and shuts."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.error: Exception | None = None
        self.error_once: Exception | None = None
        self.poison: str | None = None
        self.calls: list[int] = []

    async def append(self, batch: Sequence[AgentTelemetry]) -> AppendResult:
        self.calls.append(len(batch))
        if self.error is not None:
            raise self.error
        if self.error_once is not None:
            error, self.error_once = self.error_once, None
            raise error
        if any(spec.metric == self.poison for item in batch for spec in item.telemetry.specs):
            raise ValueError("the database does not like this")
        result: AppendResult = await self._store.append(batch)
        return result

    def shut(self) -> None:
        self.error = Unavailable("database")


class Plant:
    """An ingest at work, its link, and its store."""

    def __init__(self, ctx: Context) -> None:
        self.store = Store(ctx.readings)
        self.link = Link()
        self.ctx = replace(ctx.acting_as(system_caller(0)), readings=cast("Any", self.store))
        self.ingest = Ingest(self.ctx, lambda _: cast("BrokerLink", self.link))

    async def topic(self, agent: Agent, channel: str = "endpoints/modbus") -> str:
        tenant = await get_tenant(agent.tenant_id)
        return f"i/{agent_username(str(tenant.uuid), agent.uuid)}/{channel}"

    async def send(
        self, agent: Agent, payload: bytes, channel: str = "endpoints/modbus"
    ) -> asyncio.Task[None]:
        """Return the handling of one message; it is done when the broker would be told."""
        topic = await self.topic(agent, channel)
        return asyncio.create_task(self.ingest.handle(topic, payload, retained=False))


@asynccontextmanager
async def plant_of(ctx: Context) -> AsyncIterator[Plant]:
    """Run an ingest while inside the block."""
    plant = Plant(ctx)
    task = asyncio.create_task(plant.ingest.run())
    await asyncio.sleep(0)
    try:
        yield plant
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def reading(metric: str = "temperature", at: int = 0, value: object = 1.5) -> dict[str, object]:
    time = (T0 + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")
    return {"deviceName": "press", "metric": metric, "value": value, "timestamp": time}


def message(*readings: object) -> bytes:
    return json.dumps({"readings": list(readings)}).encode()


async def stored(ctx: Context, agent: Agent) -> dict[str, list[object]]:
    """Return the agent's values by metric."""
    found = await ctx.readings.series(
        agent.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=100_000
    )
    return {columns.info.metric: list(columns.values) for columns in found}


async def dead_letters(agent: Agent) -> list[tuple[str, bytes]]:
    """Return reason and payload of the tenant's dead letters."""
    rows = await fetch(
        "select reason, payload from dead_letter where tenant_id = $1 order by id", agent.tenant_id
    )
    return [(row["reason"], row["payload"]) for row in rows]
