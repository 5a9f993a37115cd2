"""Keeps the broker's accounts equal to the database's."""

from __future__ import annotations

import asyncio

from core.broker_accounts import BrokerAccount
from core.context import Context
from core.events import BROKER_ACCOUNTS
from core.gateways import BrokerDriver
from resolvers.mqtt_accounts import list_broker_accounts

PERIOD_SECONDS = 30.0


class BrokerAccounts:
    """A reconciler: reads all accounts and hands them to the driver, when poked and regularly."""

    name = "broker accounts"

    def __init__(self, ctx: Context, driver: BrokerDriver, platform: list[BrokerAccount]) -> None:
        self._ctx = ctx
        self._driver = driver
        self._platform = platform

    async def run(self) -> None:
        """Reconcile until cancelled."""
        async with self._ctx.bus.subscribe(BROKER_ACCOUNTS) as pokes:
            while True:
                await self.step()
                try:
                    async with asyncio.timeout(PERIOD_SECONDS):
                        await anext(pokes)
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    return  # the bus has ended, and the program with it

    async def step(self) -> None:
        """Make the broker agree with the database once."""
        accounts = await list_broker_accounts(self._ctx)
        await self._driver.apply([*self._platform, *accounts])
