"""Watches the broker through a connection of its own, and keeps what it tells of itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from core import metrics
from core.broker_figures import BrokerFigures, SysTopics
from core.context import Context
from core.errors import Unavailable
from resolvers.broker_view import record_broker
from workers.mqtt import BrokerLink

_log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0


class BrokerWatch:
    """Keeps the newest figures, every 10 s and soon after the broker comes or goes.

    `link_to` makes the link, under a client id of its own, around our handler.
    """

    name = "broker-watch"

    def __init__(self, ctx: Context, link_to: Callable[[BrokerWatch], BrokerLink]) -> None:
        self._ctx = ctx
        self._link = link_to(self)
        self._sys = SysTopics()
        self._told: tuple[bool, bool] | None = None
        self._due = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name="broker-watch link")
            tasks.create_task(self._tell_for_ever(), name="broker-watch tell")

    async def handle(self, topic: str, payload: bytes, _retained: bool) -> None:
        """Take one message below `$SYS`."""
        self._sys.note(topic, payload)

    async def _tell_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except Unavailable:
                _log.info("the broker's figures cannot be kept now")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        is_connected = self._link.connected.is_set()
        if not is_connected:
            self._sys.forget()
        news = (is_connected, self._sys.is_empty)
        if news == self._told and now < self._due:
            return
        self._told, self._due = news, now + PERIOD_SECONDS
        figures = self._sys.figures(now) if is_connected else None
        _show(figures or BrokerFigures())
        await record_broker(self._ctx, figures)


def _show(figures: BrokerFigures) -> None:
    for name, gauge in metrics.BROKER_FIGURES.items():
        value = getattr(figures, name)
        gauge.set(float("nan") if value is None else value)
