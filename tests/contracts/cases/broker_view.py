"""The broker as operators see it."""

from __future__ import annotations

from typing import Any

from core.broker_figures import BrokerFigures
from core.callers import system_caller
from resolvers.broker_view import record_broker
from tests.contracts.cases.world import Case, World


async def _figures(world: World) -> dict[str, Any]:
    figures = BrokerFigures(version="one", clients_connected=1)
    await record_broker(world.ctx.acting_as(system_caller(0)), figures)
    return {}


CASES: dict[str, Case] = {"GetMqttStats": _figures}

ORDER: tuple[str, ...] = ()
