"""What is told of a sensor, wherever it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core import sensor_views as views
from core import sensors as rules
from models import endpoints as rows
from models.endpoint_health import EndpointHealth
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import EndpointStatus
from schema.scalars import Json, Long


@strawberry.type(description="What an agent last said of a sensor's health.")
class SensorHealth:
    """Read off a row of reported health."""

    status: str | None = strawberry.field(description="Online, offline or disabled, in its words.")
    connected: bool | None
    last_poll: datetime | None = strawberry.field(description="By the agent's clock.")
    last_seen: datetime | None = strawberry.field(description="By the agent's clock.")
    error_count: Long | None
    last_error: str | None
    response_time_ms: float | None
    poll_success_rate: float | None
    communication_quality: str | None
    updated_at: datetime

    @strawberry.field(
        description="When the newest reading under its name was made.",
        directives=[requires("sensors.list_last_telemetry")],
    )
    async def last_telemetry_at(self, row: Parent[EndpointHealth], info: Info) -> datetime | None:
        """Return the moment; one query for all sensors of a list."""
        times = await info.context.loaders.sensors.last_telemetry.load(row.agent_id)
        return times.get(row.name)


@strawberry.type(description="A device that an agent found behind an endpoint.")
@dataclass
class SensorDevice:
    """A member of `devices` in the agent's current state."""

    uuid: str | None
    endpoint_uuid: str | None
    name: str | None
    protocol: str | None
    identifier: str | None
    enabled: bool | None
    last_seen_at: str | None
    updated_at: datetime


@strawberry.type(
    description="An endpoint that an agent reads, or should. Secrets are masked; what was masked "
    "may be sent back and stands for what is stored."
)
class Sensor:
    """Read off a row."""

    uuid: UUID
    agent_uuid: UUID
    name: str
    protocol: str
    status: EndpointStatus
    location: str
    target_version: int | None = strawberry.field(
        description="The version of the target state that brought it as it is, or took it out."
    )
    created_at: datetime | None
    created_by: UUID | None
    updated_at: datetime | None
    updated_by: UUID | None
    deployed_at: datetime | None
    deployment_error: str | None = strawberry.field(
        description="What went wrong, or what the agent will not do as one would expect."
    )
    deployment_attempts: int = strawberry.field(
        description="Reports that lacked it although the agent had applied its version; 3 count as "
        "failed."
    )

    @strawberry.field(description="Whether it is in the live target state and is to stay there.")
    def synced(self, row: Parent[rows.Endpoint]) -> bool:
        """Return false for drafts and for what was deleted."""
        return row.status not in {EndpointStatus.DRAFT, EndpointStatus.PENDING_DELETION}

    @strawberry.field
    def enabled(self, row: Parent[rows.Endpoint]) -> bool:
        """Return whether it is read."""
        return rules.enabled(row.entry)

    @strawberry.field(description="In milliseconds; null leaves it to the agent.")
    def poll_interval(self, row: Parent[rows.Endpoint]) -> int | None:
        """Return how often it is read."""
        return views.poll_interval(row.entry)

    @strawberry.field
    def connection(self, row: Parent[rows.Endpoint]) -> Json:
        """Return how it is reached, without secrets."""
        return Json(views.connection(row.entry))

    @strawberry.field(description="An array, however it is spelt in the target state.")
    def data_points(self, row: Parent[rows.Endpoint]) -> Json:
        """Return what is read."""
        return Json(views.data_points(row.entry))

    @strawberry.field
    def metadata(self, row: Parent[rows.Endpoint]) -> Json:
        """Return what people noted."""
        return Json(views.metadata(row.entry))

    @strawberry.field(
        graphql_type=SensorHealth | None,
        description="Null while the agent has not reported it.",
        directives=[requires("state_history.list_endpoint_health")],
    )
    async def health(self, row: Parent[rows.Endpoint], info: Info) -> EndpointHealth | None:
        """Return the health; one query for all sensors of a list."""
        reported = await info.context.loaders.endpoint_health.load(row.agent_id)
        return views.health_of(row.name, reported)

    @strawberry.field(
        description="When its newest reading was made.",
        directives=[requires("sensors.list_last_telemetry")],
    )
    async def last_telemetry_at(self, row: Parent[rows.Endpoint], info: Info) -> datetime | None:
        """Return the moment; one query for all sensors of a list."""
        times = await info.context.loaders.sensors.last_telemetry.load(row.agent_id)
        return views.last_telemetry(row.uuid, row.name, times)

    @strawberry.field(
        description="Devices that the agent found behind it.",
        directives=[requires("current_states.list_current_states"), list_size(1)],
    )
    async def children(self, row: Parent[rows.Endpoint], info: Info) -> list[SensorDevice]:
        """Return the devices; one query for all sensors of a list."""
        return await _children(row, info)

    @strawberry.field(
        description="How many devices the agent found behind it.",
        directives=[requires("current_states.list_current_states")],
    )
    async def child_count(self, row: Parent[rows.Endpoint], info: Info) -> int:
        """Return the number of devices."""
        return len(await _children(row, info))


async def _children(row: rows.Endpoint, info: Info) -> list[SensorDevice]:
    state = await info.context.loaders.current_state.load(row.agent_id)
    if state is None or state.devices is None:
        return []
    return [
        SensorDevice(
            uuid=_text(device, "uuid"),
            endpoint_uuid=_text(device, "endpoint_uuid"),
            name=_text(device, "name"),
            protocol=_text(device, "protocol"),
            identifier=_text(device, "identifier"),
            enabled=device["enabled"] if isinstance(device.get("enabled"), bool) else None,
            last_seen_at=_text(device, "lastSeenAt"),
            updated_at=state.reported_at,
        )
        for device in state.devices
        if isinstance(device, dict) and str(device.get("endpoint_uuid")).lower() == str(row.uuid)
    ]


def _text(device: dict[str, object], name: str) -> str | None:
    value = device.get(name)
    return None if value is None else str(value)
