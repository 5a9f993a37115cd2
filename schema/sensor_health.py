"""How sensors fare: all of one agent at a glance, and one of them over time."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core import sensor_views as views
from core import sensors as rules
from models.endpoint_health import HealthRecord
from resolvers import sensor_history
from resolvers.sensor_history import AdapterHistory as History
from resolvers.sensor_history import HealthOverview, SensorStanding
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json, Long


@strawberry.type(description="How many sensors an agent has, by what they are.")
class SensorHealthSummary:
    """Read off an overview."""

    enabled: int

    @strawberry.field
    def total(self, overview: Parent[HealthOverview]) -> int:
        """Return the number of all."""
        return len(overview.sensors)

    @strawberry.field
    def disabled(self, overview: Parent[HealthOverview]) -> int:
        """Return the number of those that are not read."""
        return len(overview.sensors) - overview.enabled

    @strawberry.field(description="An object of numbers by protocol.")
    def by_protocol(self, overview: Parent[HealthOverview]) -> Json:
        """Return how many there are of each protocol."""
        return Json(Counter(each.sensor.protocol for each in overview.sensors))

    @strawberry.field(description="An object of numbers by status.")
    def by_status(self, overview: Parent[HealthOverview]) -> Json:
        """Return how many there are in each status."""
        return Json(Counter(each.sensor.status.value for each in overview.sensors))


@strawberry.type(description="A sensor and how it fares, in one flat object.")
class SensorStatusRow:
    """Read off the use case's value."""

    last_telemetry_at: datetime | None

    @strawberry.field
    def uuid(self, it: Parent[SensorStanding]) -> UUID:
        """Return what names it."""
        return it.sensor.uuid

    @strawberry.field
    def name(self, it: Parent[SensorStanding]) -> str:
        """Return its name."""
        return it.sensor.name

    @strawberry.field
    def protocol(self, it: Parent[SensorStanding]) -> str:
        """Return its protocol."""
        return it.sensor.protocol

    @strawberry.field(
        description="What the agent last reported; before that `configured`, or `disabled`."
    )
    def status(self, it: Parent[SensorStanding]) -> str:
        """Return how it fares."""
        fallback = "configured" if rules.enabled(it.sensor.entry) else "disabled"
        return (it.health and it.health.status) or fallback

    @strawberry.field
    def enabled(self, it: Parent[SensorStanding]) -> bool:
        """Return whether it is read."""
        return rules.enabled(it.sensor.entry)

    @strawberry.field(description="In milliseconds; null leaves it to the agent.")
    def poll_interval(self, it: Parent[SensorStanding]) -> int | None:
        """Return how often it is read."""
        return views.poll_interval(it.sensor.entry)

    @strawberry.field(description="Secrets are masked.")
    def connection(self, it: Parent[SensorStanding]) -> Json:
        """Return how it is reached."""
        return Json(views.connection(it.sensor.entry))

    @strawberry.field
    def data_points(self, it: Parent[SensorStanding]) -> Json:
        """Return what is read."""
        return Json(views.data_points(it.sensor.entry))

    @strawberry.field(description="When its health was reported; before that, when it was changed.")
    def last_updated(self, it: Parent[SensorStanding]) -> datetime | None:
        """Return the moment."""
        return it.health.updated_at if it.health else it.sensor.updated_at

    @strawberry.field(description="Whether the agent shows it as the target state has it.")
    def synced(self, it: Parent[SensorStanding]) -> bool:
        """Return whether it is deployed."""
        return it.sensor.status is rules.EndpointStatus.DEPLOYED

    @strawberry.field
    def connected(self, it: Parent[SensorStanding]) -> bool | None:
        """Return whether the agent reaches it."""
        return it.health.connected if it.health else None

    @strawberry.field(description="By the agent's clock.")
    def last_poll(self, it: Parent[SensorStanding]) -> datetime | None:
        """Return when it was last asked."""
        return it.health.last_poll if it.health else None

    @strawberry.field(description="By the agent's clock.")
    def last_seen(self, it: Parent[SensorStanding]) -> datetime | None:
        """Return when it last answered."""
        return it.health.last_seen if it.health else None

    @strawberry.field
    def error_count(self, it: Parent[SensorStanding]) -> Long:
        """Return how many errors the agent has counted."""
        return Long((it.health and it.health.error_count) or 0)

    @strawberry.field
    def last_error(self, it: Parent[SensorStanding]) -> str | None:
        """Return what went wrong last."""
        return it.health.last_error if it.health else None

    @strawberry.field
    def location(self, it: Parent[SensorStanding]) -> str:
        """Return where it stands."""
        return it.sensor.location


@strawberry.type(description="The sensors of one agent, by name, and how they fare.")
class SensorHealthOverview:
    """Read off the use case's value."""

    agent_uuid: UUID

    @strawberry.field(graphql_type=SensorHealthSummary)
    def summary(self, overview: Parent[HealthOverview]) -> HealthOverview:
        """Return the counts."""
        return overview

    @strawberry.field(
        graphql_type=list[SensorStatusRow], description="At most 500; drafts are left out."
    )
    def sensors(self, overview: Parent[HealthOverview]) -> list[SensorStanding]:
        """Return the sensors."""
        return list(overview.sensors)


@strawberry.type(description="What a report said of an endpoint.")
class AdapterRecord:
    """Read off a row."""

    name: str
    protocol: str | None
    status: str | None
    connected: bool | None
    last_poll: datetime | None
    error_count: Long | None
    last_error: str | None
    at: datetime = strawberry.field(description="When the report came, cut to ten seconds.")


@strawberry.type
class AdapterRecordEdge:
    """A record and its place in the list."""

    cursor: str
    node: AdapterRecord


@strawberry.type(description="A page of what was reported of an endpoint, newest first.")
class AdapterHistory:
    """Read off the use case's value."""

    agent_uuid: UUID
    protocol: str
    name: str
    hours: int

    @strawberry.field
    def edges(self, history: Parent[History]) -> list[AdapterRecordEdge]:
        """Return the records with their cursors."""
        pairs = zip(history.page.cursors, history.page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AdapterRecordEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AdapterRecord])
    def nodes(self, history: Parent[History]) -> list[HealthRecord]:
        """Return the records alone."""
        return history.page.items

    @strawberry.field
    def page_info(self, history: Parent[History]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(history.page)


@strawberry.type
class SensorHealthQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=SensorHealthOverview,
        description="How the sensors of an agent fare.",
        directives=[
            requires("sensor_history.get_sensor_health"),
            list_size(50, fields=["sensors"]),
        ],
    )
    async def sensor_health(
        self, info: Info, agent_uuid: UUID, protocol: str | None = None
    ) -> HealthOverview:
        """Return the overview."""
        return await sensor_history.get_sensor_health(info.context.ctx, agent_uuid, protocol)

    @strawberry.field(
        graphql_type=AdapterHistory,
        description="What an agent said of an endpoint, newest first; `first` is at most 1000.",
        directives=[
            requires("sensor_history.get_adapter_history"),
            list_size(100, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def adapter_history(
        self,
        info: Info,
        agent_uuid: UUID,
        protocol: str,
        name: Annotated[str, strawberry.argument(description="The endpoint's name or uuid.")],
        hours: int = 24,
        first: int = 100,
        after: str | None = None,
    ) -> History:
        """Return a page of records."""
        return await sensor_history.get_adapter_history(
            info.context.ctx, agent_uuid, protocol, name, hours=hours, first=first, after=after
        )
