"""The watcher of real brokers: what they tell of themselves is kept, and that they went away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from core import metrics
from core.broker_figures import SYS_FILTER, BrokerFigures
from core.callers import Caller, Role, system_caller
from core.context import Context
from core.errors import Unavailable
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from models.tenants import first_tenant
from resolvers.broker_view import BrokerView, get_broker, record_broker
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import free_ports
from tests.workers.conftest import ACCOUNTS, AGENT, PLATFORM
from workers import broker_watch
from workers.broker_watch import BrokerWatch
from workers.mqtt import BrokerEndpoint, BrokerLink

pytestmark = pytest.mark.slow


@asynccontextmanager
async def watching(ctx: Context, endpoint: BrokerEndpoint) -> AsyncIterator[None]:
    system = ctx.acting_as(system_caller(0))
    await record_broker(system, None)  # whatever an earlier test left
    watch = BrokerWatch(
        system, lambda it: BrokerLink(endpoint, [SYS_FILTER], it.handle, durable=False)
    )
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def seen(ctx: Context, *, connected: bool, seconds: float = 10.0) -> BrokerView:
    """Return what the installation's owner sees once it is so, figures and all."""
    first = await first_tenant()
    assert first is not None
    owner = ctx.acting_as(Caller(Role.OWNER, first.id))
    async with asyncio.timeout(seconds):
        while True:
            view = await get_broker(owner)
            has_figures = view.figures is not None and view.figures.uptime_seconds is not None
            if (view.is_connected and has_figures) if connected else not view.is_connected:
                return view
            await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(broker_watch, "PERIOD_SECONDS", 0.2)


async def test_tells_what_mosquitto_holds(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    agent = MqttClient(broker.port, "agent_1", AGENT, f"pw-{AGENT}")
    assert await agent.connect() == 0
    async with watching(ctx, endpoint):
        view = await seen(ctx, connected=True)
    figures = view.figures
    assert figures is not None
    assert (figures.version or "").startswith("mosquitto version")
    for name in ("clients_connected", "clients_total", "bytes_received", "messages_sent"):
        assert getattr(figures, name) is not None, name
    assert metrics.BROKER_FIGURES["clients_connected"]._value.get() == figures.clients_connected
    await agent.close()


async def test_tells_that_the_broker_went_away_and_came_back(
    ctx: Context, endpoint: BrokerEndpoint, broker: EmbeddedBroker
) -> None:
    async with watching(ctx, endpoint):
        await seen(ctx, connected=True)
        await broker.stop()
        view = await seen(ctx, connected=False)
        assert view.figures is None
        await broker.start(ACCOUNTS, broker._data_dir.parent)  # type: ignore[attr-defined]  # ours
        await seen(ctx, connected=True, seconds=20)


async def test_tells_what_amqtt_holds(ctx: Context, tmp_path: Path) -> None:
    broker = await start_broker(
        tmp_path / "data",
        host="127.0.0.1",
        port=free_ports(1)[0],
        accounts=ACCOUNTS,
        kind="amqtt",
        system_root=tmp_path,
    )
    endpoint = BrokerEndpoint("127.0.0.1", broker.port, PLATFORM, f"pw-{PLATFORM}", "watch")
    try:
        async with watching(ctx, replace(endpoint, mqtt5=False)):
            view = await seen(ctx, connected=True, seconds=20)
    finally:
        await broker.stop()
    figures = view.figures
    assert figures is not None
    assert (figures.version or "").startswith("aMQTT")
    assert figures.clients_connected == 1
    assert figures.messages_stored is not None
    assert figures.publish_dropped is None  # it does not tell


async def test_a_broker_that_came_back_starts_with_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BrokerFigures | None] = []

    async def tell(_ctx: Context, figures: BrokerFigures | None) -> None:
        told.append(figures)

    monkeypatch.setattr(broker_watch, "record_broker", tell)
    link = BrokerLink(BrokerEndpoint("127.0.0.1", 1, "", "", ""), durable=False)
    watch = BrokerWatch(ctx, lambda _: link)
    link.connected.set()
    await watch.handle("$SYS/broker/uptime", b"5 seconds", True)
    await watch._look()
    link.connected.clear()
    await watch._look()
    link.connected.set()
    await watch._look()
    assert told == [BrokerFigures(uptime_seconds=5), None, BrokerFigures()]


async def test_goes_on_when_the_database_comes_back(
    ctx: Context, endpoint: BrokerEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = AsyncMock(side_effect=Unavailable("database"))
    with monkeypatch.context() as patched:
        patched.setattr(broker_watch, "record_broker", away)
        async with watching(ctx, endpoint):
            async with asyncio.timeout(10):
                while away.await_count < 3:  # noqa: ASYNC110  (nothing tells)
                    await asyncio.sleep(0.02)
            patched.undo()
            await seen(ctx, connected=True)
