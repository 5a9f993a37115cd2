"""The broker as operators see it: its own figures, and what agents send through it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from core.access import Permission, allow, holds
from core.broker_figures import BrokerFigures
from core.context import Context
from core.errors import Unavailable
from core.events import BROKER, BrokerChanged
from core.paging import Slice, page_size
from models import agent_traffic as traffic
from models.agent_traffic import AgentTraffic, Tally, TrafficOfAgent, TrafficOrder, TrafficSums
from models.broker_status import find_status, put_status
from models.tenants import first_tenant
from models.unit_of_work import database_errors, unit_of_work

STATUS_NAME: Final = "broker"
SILENCE_MAX: Final = timedelta(seconds=35)
"""After so long without news the one that watches the broker is taken to be gone."""


@dataclass(frozen=True, slots=True)
class BrokerView:
    """The broker at a moment. `figures` are the installation's, `traffic` is the caller's tenant's.

    `is_connected`: the one that watches it for us had a connection, and told so lately.
    """

    is_connected: bool
    at: datetime | None
    figures: BrokerFigures | None
    traffic: TrafficSums


@allow(Permission.MQTT_USER_READ)
async def get_broker(ctx: Context, *, connected: bool = False) -> BrokerView:
    """Return how the broker is; its figures only to owners of the installation's first tenant.

    With `connected`, raises Unavailable while the broker is away.
    """
    with database_errors():
        status = await find_status(STATUS_NAME)
        sums = await traffic.sum_traffic(ctx.tenant_id)
        may_see = await _runs_installation(ctx)
    is_connected = (
        status is not None
        and bool(status.value["connected"])
        and ctx.clock.now() - status.at <= SILENCE_MAX
    )
    if connected and not is_connected:
        raise Unavailable("broker")
    figures = BrokerFigures.of(status.value["figures"]) if status and is_connected else None
    return BrokerView(
        is_connected, status.at if status else None, figures if may_see else None, sums
    )


@allow(Permission.DEVICE_READ)
async def list_agent_traffic(
    ctx: Context, order: TrafficOrder, first: int, after: str | None
) -> Slice[TrafficOfAgent]:
    """Return what agents have sent, most or newest first; those that never did are left out."""
    with database_errors():
        return await traffic.page_of_traffic(ctx.tenant_id, order, page_size(first), after)


@allow(Permission.DEVICE_READ)
async def find_agent_traffic(ctx: Context, agent_ids: Collection[int]) -> dict[int, AgentTraffic]:
    """Return what these agents have sent by id, in one query; those that never did are left out."""
    with database_errors():
        return await traffic.find_traffic(ctx.tenant_id, agent_ids)


@allow(Permission.SYSTEM)
async def record_broker(ctx: Context, figures: BrokerFigures | None) -> None:
    """Keep what the broker tells of itself; None while it is away. Listeners are told."""
    value = {"connected": figures is not None, "figures": asdict(figures) if figures else {}}
    async with unit_of_work(ctx) as work:
        await put_status(STATUS_NAME, value, ctx.clock.now())
        work.emit(BROKER, BrokerChanged())


@allow(Permission.SYSTEM)
async def record_traffic(ctx: Context, tallies: Sequence[Tally]) -> None:
    """Add what was counted, of agents of all tenants, in one statement."""
    if tallies:
        with database_errors():
            await traffic.add_traffic(tallies)


async def _runs_installation(ctx: Context) -> bool:
    if not holds(ctx.caller, Permission.TENANT_MANAGE):
        return False
    first = await first_tenant()
    return first is not None and first.id == ctx.tenant_id
