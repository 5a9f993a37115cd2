"""Sensors: the endpoints that agents are told to read, listed and looked up."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.paging import Slice, page_size
from models import endpoint_lists
from models.agents import Agent
from models.endpoint_lists import (
    EndpointCount,
    EndpointFilter,
    endpoint_named,
    page_of_endpoints,
)
from models.endpoints import Endpoint
from models.unit_of_work import database_errors

__all__ = ["EndpointCount", "EndpointFilter"]


@allow(Permission.DEVICE_READ)
async def list_sensors(
    ctx: Context,
    wanted: EndpointFilter,
    first: int,
    after: str | None,
    *,
    agent_uuid: UUID | None = None,
) -> Slice[Endpoint]:
    """Return sensors by name, of one agent or of many; those that only a draft has among them."""
    with database_errors():
        of_agent = await _of_agent(ctx, wanted, agent_uuid)
        return await page_of_endpoints(ctx.tenant_id, of_agent, page_size(first), after)


@allow(Permission.DEVICE_READ)
async def count_sensors(
    ctx: Context, wanted: EndpointFilter, *, agent_uuid: UUID | None = None
) -> list[EndpointCount]:
    """Return how many sensors there are, by protocol and status."""
    with database_errors():
        of_agent = await _of_agent(ctx, wanted, agent_uuid)
        return await endpoint_lists.count_endpoints(ctx.tenant_id, of_agent)


@allow(Permission.DEVICE_READ)
async def get_sensor(ctx: Context, agent_uuid: UUID, key: str) -> Endpoint:
    """Return a sensor by its name or uuid; raises NotFound."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await endpoint_named(agent, key)


@allow(Permission.DEVICE_READ)
async def list_last_telemetry(
    ctx: Context, agent_ids: Collection[int]
) -> dict[int, dict[str, datetime]]:
    """Return when endpoints last sent a reading: by agent, by the endpoint's uuid or name."""
    found: dict[int, dict[str, datetime]] = {}
    for latest in await ctx.readings.latest(ctx.tenant_id, sorted(set(agent_ids))):
        info, by_key = latest.info, found.setdefault(latest.info.agent_id, {})
        for key in {info.device, info.device_name, info.endpoint_uuid} - {""}:
            by_key[key] = max(by_key.get(key, latest.time), latest.time)
    return found


async def _of_agent(
    ctx: Context, wanted: EndpointFilter, agent_uuid: UUID | None
) -> EndpointFilter:
    if agent_uuid is None:
        return wanted
    agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
    return EndpointFilter(
        agent.id, wanted.agents, wanted.protocol, wanted.status, wanted.text, wanted.key
    )
