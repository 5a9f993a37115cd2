"""What sensors are given, and which are wanted."""

from __future__ import annotations

from uuid import UUID

import strawberry

from core.sensor_edits import SensorValues
from resolvers.sensors import EndpointFilter
from schema.agent_filters import AgentFilter
from schema.enums import EndpointStatus
from schema.scalars import Json


@strawberry.input(description="Which sensors. What is left out means all.")
class SensorFilter:
    """Conditions on sensors; all must hold."""

    agent_uuid: UUID | None = None
    agents: AgentFilter | None = strawberry.field(
        default=None, description="Those of agents that meet this: of a fleet, by name, by tags."
    )
    protocol: str | None = None
    status: EndpointStatus | None = None
    text: str | None = strawberry.field(default=None, description="A part of the name.")

    def to_filter(self) -> EndpointFilter:
        """Return the same for use cases, but for the agent; raises InvalidInput."""
        agents = self.agents.to_filter() if self.agents else None
        return EndpointFilter(
            agents=agents, protocol=self.protocol, status=self.status, text=self.text
        )


@strawberry.input(
    description="Values of a sensor; what is left out stays, or is the default. Objects and arrays "
    "are replaced as a whole; `***` in them stands for what is stored."
)
class SensorInput:
    """The members of an endpoint that people fill."""

    name: str | None = strawberry.field(
        default=None, description="Unique on its agent; up to 255 characters."
    )
    protocol: str | None = strawberry.field(
        default=None, description="modbus, opcua, mqtt, snmp, bacnet or can."
    )
    connection: Json | None = None
    data_points: Json | None = strawberry.field(
        default=None,
        description="An array; at least one point unless the protocol is opcua or mqtt.",
    )
    enabled: bool | None = None
    poll_interval: int | None = strawberry.field(default=None, description="In milliseconds.")
    metadata: Json | None = None
    location: str | None = strawberry.field(
        default=None, description="Up to 200 characters. Agents do not hear of it."
    )

    def to_values(self, uuid: UUID | None = None) -> SensorValues:
        """Return the same for use cases; `uuid` is that of a new sensor."""
        return SensorValues(
            name=self.name,
            protocol=self.protocol,
            connection=self.connection,
            data_points=self.data_points,
            enabled=self.enabled,
            poll_interval=self.poll_interval,
            metadata=self.metadata,
            location=self.location,
            uuid=uuid,
        )
