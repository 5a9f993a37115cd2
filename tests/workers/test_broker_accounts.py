"""The broker's accounts are the database's: at the start, when poked, and from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.callers import system_caller
from core.context import Context
from core.events import BROKER_ACCOUNTS, BrokerAccountsChanged
from models.mqtt_accounts import MqttAccount
from tests.tools import until
from workers import broker_accounts
from workers.broker_accounts import BrokerAccounts

PLATFORM = BrokerAccount("fleetgraph", hash_broker_password("x"), is_platform=True)


class Driver:
    def __init__(self) -> None:
        self.applied: list[set[str]] = []

    async def apply(self, accounts: Sequence[BrokerAccount]) -> None:
        assert accounts[0] is PLATFORM
        self.applied.append({account.username for account in accounts})


@pytest.fixture
async def driver(ctx: Context) -> AsyncIterator[Driver]:
    """A driver that a worker keeps informed."""
    driver = Driver()
    worker = BrokerAccounts(ctx.acting_as(system_caller(0)), driver, [PLATFORM])
    task = asyncio.create_task(worker.run())
    await until(lambda: driver.applied, "the first accounts")
    yield driver
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def new_account(ctx: Context) -> MqttAccount:
    now = ctx.clock.now()
    return await MqttAccount.create(
        tenant_id=ctx.tenant_id,
        username=f"{ctx.ids.uuid().hex[:22]}/a/{ctx.ids.uuid().hex[:22]}",
        password_hash=hash_broker_password("x"),
        created_at=now,
        updated_at=now,
    )


async def poke(ctx: Context) -> None:
    await ctx.bus.publish(BROKER_ACCOUNTS, BrokerAccountsChanged())


async def test_a_new_account_reaches_the_broker_when_poked(ctx: Context, driver: Driver) -> None:
    row = await new_account(ctx)
    assert row.username not in driver.applied[-1]
    await poke(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)


async def test_an_account_that_was_closed_leaves_the_broker(ctx: Context, driver: Driver) -> None:
    row = await new_account(ctx)
    await poke(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)
    row.is_active = False
    await row.save()
    await poke(ctx)
    await until(lambda: row.username not in driver.applied[-1], "its end", seconds=5)


async def test_every_poke_counts(ctx: Context, driver: Driver) -> None:
    for _ in range(3):
        row = await new_account(ctx)
        await poke(ctx)
        await until(
            lambda name=row.username: name in driver.applied[-1],  # type: ignore[misc, arg-type]  # a default
            "the account",
            seconds=5,
        )


async def test_looks_by_itself_when_a_poke_is_lost(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_accounts, "PERIOD_SECONDS", 0.05)
    driver = Driver()
    worker = BrokerAccounts(ctx.acting_as(system_caller(0)), driver, [PLATFORM])
    task = asyncio.create_task(worker.run())
    await until(lambda: driver.applied, "the first accounts")
    row = await new_account(ctx)
    await until(lambda: row.username in driver.applied[-1], "the account", seconds=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
