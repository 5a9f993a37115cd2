"""An ingest process with parts of the store left out, to see what each part costs.

python -m benchmarks.worker MODE DSN BROKER_URL CLIENT_ID; prints the readings done, ten times a
second. Modes: decode (no database at all), hot, latest (hot and latest), all (and the journal).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from core.mqtt_topics import SUBSCRIPTIONS
from core.policy import BrokerAddress
from core.reading_store import AgentTelemetry, AppendResult
from fleetgraph.services import Services, open_services
from fleetgraph.settings import load_settings
from fleetgraph.urls import BrokerUrl
from models.database import DatabaseUrl
from models.timeseries import append
from models.timeseries.copy import Rows
from models.timeseries.sql import load
from models.timeseries.store import PostgresReadingStore
from workers.ingest import Ingest
from workers.mqtt import BrokerEndpoint, BrokerLink

done = 0


class _Counting(PostgresReadingStore):
    mode = "all"

    async def append(self, batch: Sequence[AgentTelemetry]) -> AppendResult:
        global done
        if self.mode == "decode":
            result = AppendResult(sum(len(item.telemetry) for item in batch), 0)
        else:
            result = await super().append(batch)
        done += result.inserted
        return result


async def _hot_only(self: append.Appender, conn: Any, rows: Rows, now: datetime) -> None:
    """Store nothing beside the hot rows."""


async def _hot_and_latest(self: append.Appender, conn: Any, rows: Rows, now: datetime) -> None:
    await conn.execute(load("upsert_latest"), *append.latest_columns(rows))


async def main(mode: str, dsn: str, broker_url: str, client_id: str) -> None:
    """Ingest until killed."""
    if mode in {"hot", "latest"}:
        append.Appender._finish = {"hot": _hot_only, "latest": _hot_and_latest}[mode]  # type: ignore[method-assign]
    url = BrokerUrl.parse(broker_url)
    endpoint = BrokerEndpoint(url.host, url.port, url.username, url.password, client_id)
    async with open_services(
        load_settings(),
        DatabaseUrl.parse(dsn),
        secret="bench" * 10,
        data_dir=Path(),
        broker=BrokerAddress(),
        alone=True,
    ) as services:
        store = _Counting(services.pool, services.clock, services.policy)
        store.mode = mode
        services = _with(services, store)
        ingest = Ingest(
            services.system(), lambda worker: BrokerLink(endpoint, SUBSCRIPTIONS, worker.handle)
        )
        task = asyncio.create_task(ingest.run())
        while not task.done():
            await asyncio.sleep(0.1)
            print(json.dumps({"done": done, "at": time.time()}), flush=True)
        await task


def _with(services: Services, store: PostgresReadingStore) -> Services:
    return replace(services, readings=store)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))
