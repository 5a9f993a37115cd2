"""What the gateways' own figures were: processor, memory, storage."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.clock import micros, moment_of
from core.context import Context
from core.errors import InvalidInput
from core.paging import OpenSlice
from models.agent_metrics import MetricsPoint, MetricsRecord, means_of_metrics, page_of_metrics
from models.agents import Agent
from models.unit_of_work import database_errors

__all__ = ["MetricsPoint", "MetricsRecord"]

ROWS_MAX: Final = 1_000
POINTS_MAX: Final = 60
PERIODS: Final = {
    "30min": timedelta(minutes=30),
    "6h": timedelta(hours=6),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
}


@allow(Permission.DEVICE_READ)
async def list_agent_metrics(
    ctx: Context,
    agent_uuid: UUID,
    first: int,
    after: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> OpenSlice[MetricsRecord]:
    """Return an agent's figures from `since` on and before `until`, newest first.

    Raises NotFound, and InvalidInput for what is out of bounds.
    """
    if not 1 <= first <= ROWS_MAX:
        raise InvalidInput("first", f"must be between 1 and {ROWS_MAX}", limit=ROWS_MAX)
    if since is not None and until is not None and since >= until:
        raise InvalidInput("from", "must be before `to`")
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_metrics(agent, since, until, first, after)


@allow(Permission.DEVICE_READ)
async def summarise_agent_metrics(
    ctx: Context, agent_uuid: UUID, period: str
) -> list[MetricsPoint]:
    """Return at most 60 means over the period that ends now, oldest first.

    Their times are multiples of the bucket's width, so that the same bucket keeps its time from
    call to call. Raises NotFound, and InvalidInput for a period that is not one of PERIODS.
    """
    length = PERIODS.get(period)
    if length is None:
        raise InvalidInput("period", f"must be one of {', '.join(PERIODS)}")
    width = length / POINTS_MAX
    width_us = width // timedelta(microseconds=1)
    until = moment_of((micros(ctx.clock.now()) // width_us + 1) * width_us)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await means_of_metrics(agent, until - length, until, width)
