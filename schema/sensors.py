"""Sensors: the endpoints that agents read."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import endpoints as rows
from resolvers import sensor_changes, sensors
from resolvers.broker_credentials import EndpointCredentials
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import EndpointStatus
from schema.scalars import Json
from schema.sensor_health import SensorHealthQuery
from schema.sensor_inputs import SensorFilter, SensorInput
from schema.sensor_types import Sensor

Name = Annotated[str, strawberry.argument(description="The sensor's name or uuid.")]
ValidateOnly = Annotated[
    bool, strawberry.argument(description="Only say whether it could be done, and change nothing.")
]
IfVersion = Annotated[
    int | None,
    strawberry.argument(
        description="Refuse with PRECONDITION_FAILED unless this is the version of the agent's "
        "target state."
    ),
]


@strawberry.type
class SensorEdge:
    """A sensor and its place in the list."""

    cursor: str
    node: Sensor


@strawberry.type(description="A page of sensors, by name.")
class SensorConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Endpoint]]) -> list[SensorEdge]:
        """Return the sensors with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [SensorEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Sensor])
    def nodes(self, page: Parent[Slice[rows.Endpoint]]) -> list[rows.Endpoint]:
        """Return the sensors alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Endpoint]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many sensors match in all.")
    def total_count(self, page: Parent[Slice[rows.Endpoint]]) -> int:
        """Return the number of matches on all pages."""
        return page.total


@strawberry.type(description="How many sensors of one protocol have one status.")
class SensorCount:
    """One entry of the counts."""

    protocol: str
    status: EndpointStatus
    count: int


@strawberry.type(
    description="How who publishes for an MQTT sensor logs in to the broker. The password is told "
    "this once."
)
class SensorCredentials:
    """Read off the use case's value."""

    username: str
    password: str
    topic: str = strawberry.field(description="The one topic that it may publish on.")


@strawberry.type(description="What a change of a sensor did.")
class SensorChange:
    """Read off the use case's value."""

    version: int = strawberry.field(description="Of the agent's target state afterwards.")
    checked: Json | None = strawberry.field(
        description="With `validateOnly`: what would be stored, secrets masked."
    )
    mode: str | None = strawberry.field(description="How it was deleted: `soft` or `hard`.")
    warning: str | None = strawberry.field(
        description="What the agent will not do as one would expect."
    )

    @strawberry.field(
        graphql_type=Sensor | None, description="Null when it is gone, or only checked."
    )
    def sensor(self, change: Parent[sensor_changes.SensorChange]) -> rows.Endpoint | None:
        """Return the sensor as it is now."""
        return change.sensor

    @strawberry.field(graphql_type=SensorCredentials | None)
    def credentials(
        self, change: Parent[sensor_changes.SensorChange]
    ) -> EndpointCredentials | None:
        """Return the login, where one was made."""
        return change.credentials

    @strawberry.field(description="True or null: whether nothing was changed.")
    def validate_only(self, change: Parent[sensor_changes.SensorChange]) -> bool | None:
        """Return whether it was only checked."""
        return True if change.checked is not None else None


@strawberry.type
class SensorQuery(SensorHealthQuery):
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Sensor | None,
        description="One sensor of an agent; null with an error NOT_FOUND when there is none.",
        directives=[requires("sensors.get_sensor")],
    )
    async def sensor(self, info: Info, agent_uuid: UUID, name: Name) -> rows.Endpoint:
        """Return one sensor."""
        return await sensors.get_sensor(info.context.ctx, agent_uuid, name)

    @strawberry.field(
        graphql_type=SensorConnection,
        description="Sensors of one agent or of many, by name; `first` is at most 500.",
        directives=[
            requires("sensors.list_sensors"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def sensors(
        self,
        info: Info,
        filter: SensorFilter | None = None,  # noqa: A002  # the name in the contract
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.Endpoint]:
        """Return a page of sensors."""
        wanted = filter or SensorFilter()
        return await sensors.list_sensors(
            info.context.ctx, wanted.to_filter(), first, after, agent_uuid=wanted.agent_uuid
        )

    @strawberry.field(
        description="How many sensors there are, by protocol and status.",
        directives=[requires("sensors.count_sensors"), list_size(30)],
    )
    async def sensor_counts(
        self,
        info: Info,
        filter: SensorFilter | None = None,  # noqa: A002  # as above
    ) -> list[SensorCount]:
        """Return the counts."""
        wanted = filter or SensorFilter()
        found = await sensors.count_sensors(
            info.context.ctx, wanted.to_filter(), agent_uuid=wanted.agent_uuid
        )
        return [
            SensorCount(protocol=each.protocol, status=each.status, count=each.count)
            for each in found
        ]


@strawberry.type
class SensorMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=SensorChange,
        description="Tell an agent to read one more endpoint. One of MQTT without a topic gets its "
        "own on this broker, and credentials for who publishes there.",
        directives=[requires("sensor_changes.add_sensor")],
    )
    async def add_sensor(
        self,
        info: Info,
        agent_uuid: UUID,
        sensor: SensorInput,
        uuid: Annotated[
            UUID | None,
            strawberry.argument(description="Of the new sensor; made up when left out."),
        ] = None,
        validate_only: ValidateOnly = False,
        if_version: IfVersion = None,
    ) -> sensor_changes.SensorChange:
        """Return the new sensor."""
        return await sensor_changes.add_sensor(
            info.context.ctx,
            agent_uuid,
            sensor.to_values(uuid),
            validate_only=validate_only,
            if_version=if_version,
        )

    @strawberry.mutation(
        graphql_type=SensorChange,
        description="Change what is given of a sensor.",
        directives=[requires("sensor_changes.update_sensor")],
    )
    async def update_sensor(
        self,
        info: Info,
        agent_uuid: UUID,
        name: Name,
        sensor: SensorInput,
        validate_only: ValidateOnly = False,
        if_version: IfVersion = None,
    ) -> sensor_changes.SensorChange:
        """Return the changed sensor."""
        return await sensor_changes.update_sensor(
            info.context.ctx,
            agent_uuid,
            name,
            sensor.to_values(),
            validate_only=validate_only,
            if_version=if_version,
        )

    @strawberry.mutation(
        graphql_type=SensorChange,
        description="Take a sensor out of its agent's target state. It is pending deletion until "
        "the agent no longer shows it; with `hard` it is forgotten at once. An agent keeps its last "
        "endpoint, which is switched off instead: see `warning`.",
        directives=[requires("sensor_changes.delete_sensor")],
    )
    async def delete_sensor(
        self,
        info: Info,
        agent_uuid: UUID,
        name: Name,
        hard: bool = False,
        if_version: IfVersion = None,
    ) -> sensor_changes.SensorChange:
        """Return what is left of it."""
        return await sensor_changes.delete_sensor(
            info.context.ctx, agent_uuid, name, hard=hard, if_version=if_version
        )

    @strawberry.mutation(
        graphql_type=SensorChange,
        description="Give an MQTT sensor on this broker a new password; the one before ends.",
        directives=[requires("sensor_changes.reset_sensor_credentials")],
    )
    async def reset_sensor_credentials(
        self, info: Info, agent_uuid: UUID, name: Name
    ) -> sensor_changes.SensorChange:
        """Return the sensor and its credentials."""
        return await sensor_changes.reset_sensor_credentials(info.context.ctx, agent_uuid, name)
