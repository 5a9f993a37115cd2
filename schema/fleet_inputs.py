"""What fleets are given, and which are wanted."""

from __future__ import annotations

import strawberry

from core.errors import InvalidInput
from models import fleets as rows
from resolvers import fleets
from schema.enums import FleetStatus, FleetType
from schema.scalars import Json


@strawberry.input(description="Which fleets. What is left out means all that are not deleted.")
class FleetFilter:
    """Conditions on fleets; all must hold."""

    type: FleetType | None = None
    status: FleetStatus | None = None
    environment: str | None = None
    text: str | None = strawberry.field(default=None, description="A part of the name.")

    def to_filter(self) -> rows.FleetFilter:
        """Return the same for use cases."""
        return rows.FleetFilter(self.type, self.status, self.environment, self.text)


@strawberry.input(
    description="What clients of an older API send. This system neither bills fleets nor hosts "
    "their gateways: everything but null, false and 0 is refused."
)
class UnsupportedFleetInput:
    """Read so that nobody believes it was taken."""

    customer_id: str | None = None
    billing_enabled: bool | None = None
    billing_mode: str | None = None
    budget_limit: float | None = None
    agent_count: int | None = None
    agents_per_agent: int | None = None

    def check(self) -> None:
        """Raise InvalidInput with the name of what is asked for."""
        for name, value in vars(self).items():
            if value:
                raise InvalidInput(name, "is not supported: leave it out")


@strawberry.input(description="Values of a fleet; what is left out stays, or is the default.")
class FleetInput:
    """The columns that people fill."""

    name: str | None = strawberry.field(
        default=None, description="Up to 200 characters; required for a new fleet."
    )
    type: FleetType | None = strawberry.field(
        default=None, description="A new fleet is physical unless told otherwise."
    )
    environment: str | None = None
    location: str | None = None
    description: str | None = None
    tags: Json | None = strawberry.field(default=None, description="An object of texts by key.")
    unsupported: UnsupportedFleetInput | None = None

    def to_changes(self) -> fleets.FleetChanges:
        """Return the same for use cases; raises InvalidInput for what is not supported."""
        if self.unsupported is not None:
            self.unsupported.check()
        return fleets.FleetChanges(
            name=self.name,
            type=self.type,
            environment=self.environment,
            location=self.location,
            description=self.description,
            tags=self.tags,
        )
