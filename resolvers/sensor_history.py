"""How the sensors of an agent fare, now and before, as far as their agent says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.paging import PAGE_SIZE_MAX, OpenSlice
from core.sensor_views import health_of, last_telemetry
from core.sensors import EndpointStatus, as_uuid, enabled
from models import endpoint_health
from models.agents import Agent
from models.endpoint_health import EndpointHealth, HealthRecord, page_of_health_history
from models.endpoint_lists import EndpointFilter, endpoint_named, page_of_endpoints
from models.endpoints import Endpoint
from models.unit_of_work import database_errors
from resolvers.sensors import list_last_telemetry

HOURS_MAX: Final = 24 * 366
RECORDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class SensorStanding:
    """A sensor, what its agent last said of it, and when its newest reading was made."""

    sensor: Endpoint
    health: EndpointHealth | None
    last_telemetry_at: datetime | None


@dataclass(frozen=True, slots=True)
class HealthOverview:
    """The sensors of one agent, drafts left out, by name; at most 500."""

    agent_uuid: UUID
    sensors: Sequence[SensorStanding]

    @property
    def enabled(self) -> int:
        """How many of them are read."""
        return sum(enabled(each.sensor.entry) for each in self.sensors)


@dataclass(frozen=True, slots=True)
class AdapterHistory:
    """A page of what an agent said of one endpoint, newest first."""

    agent_uuid: UUID
    protocol: str
    name: str
    hours: int
    page: OpenSlice[HealthRecord]


@allow(Permission.DEVICE_READ)
async def get_sensor_health(
    ctx: Context, agent_uuid: UUID, protocol: str | None = None
) -> HealthOverview:
    """Return how the sensors of an agent fare, all of them or those of one protocol."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        wanted = EndpointFilter(agent_id=agent.id, protocol=protocol)
        page = await page_of_endpoints(ctx.tenant_id, wanted, PAGE_SIZE_MAX, None)
        reported = await endpoint_health.health_of(ctx.tenant_id, [agent.id])
    times = (await list_last_telemetry(ctx, [agent.id])).get(agent.id, {})
    standings = [
        SensorStanding(
            row, health_of(row.name, reported), last_telemetry(row.uuid, row.name, times)
        )
        for row in page.items
        if row.status is not EndpointStatus.DRAFT
    ]
    return HealthOverview(agent_uuid, standings)


@allow(Permission.DEVICE_READ)
async def get_adapter_history(
    ctx: Context,
    agent_uuid: UUID,
    protocol: str,
    key: str,
    *,
    hours: int = 24,
    first: int = RECORDS_MAX,
    after: str | None = None,
) -> AdapterHistory:
    """Return what an agent said of an endpoint in the last `hours`, newest first.

    `key` is the endpoint's name, or the uuid of a sensor that there is. Raises NotFound only for
    the agent: what was said of an endpoint outlives it.
    """
    if not 1 <= hours <= HOURS_MAX:
        raise InvalidInput("hours", f"must be from 1 to {HOURS_MAX}", limit=HOURS_MAX)
    if not 1 <= first <= RECORDS_MAX:
        raise InvalidInput("first", f"must be from 1 to {RECORDS_MAX}", limit=RECORDS_MAX)
    for field, text in (("protocol", protocol), ("name", key)):
        if len(text) > 255 or "\x00" in text:
            raise InvalidInput(field, "must have at most 255 characters and no NUL")
    since = ctx.clock.now() - timedelta(hours=hours)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        name = await _name_of(agent, key)
        page = await page_of_health_history(agent, protocol, name, since, first, after)
    return AdapterHistory(agent_uuid, protocol, name, hours, page)


async def _name_of(agent: Agent, key: str) -> str:
    if as_uuid(key) is None:
        return key
    try:
        return (await endpoint_named(agent, key)).name
    except NotFound:
        return key
