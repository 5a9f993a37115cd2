"""Where agents are not as they should be."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import Parent

from core.differences import DIFFERENCES_MAX, DifferenceKind
from core.drift import Drift, DriftReason, DriftStatus
from schema.context import Info
from schema.directives import list_size
from schema.scalars import Json

strawberry.enum(
    DriftStatus,
    description="Whether an agent is as it should be. Pending: its target was changed after its "
    "last report, or so shortly before that it may not have applied it yet.",
)
strawberry.enum(
    DriftReason,
    description="Why that is not known. Not polled: it has shown no sign of asking for its target "
    "since it started; asking may be switched off on the agent itself.",
)
strawberry.enum(DifferenceKind, description="What is not as it should be.")


@strawberry.type(
    description="Something that is reported otherwise than wanted. Secrets are masked."
)
class StateDifference:
    """Read off the use case's value."""

    kind: DifferenceKind
    path: str = strawberry.field(
        description="Within the target state, with names in place of numbers: "
        "`config.endpoints.press.connection.port`."
    )
    wanted: Json | None
    reported: Json | None


@strawberry.type(description="An agent's target state against what it reports.")
class AgentDrift:
    """Read off the use case's value."""

    status: DriftStatus
    reason: DriftReason | None = strawberry.field(description="Why the status is unknown.")
    since: datetime | None = strawberry.field(description="Null while in sync or unknown.")
    wanted_version: int | None
    reported_version: int | None = strawberry.field(
        description="It may lag without any drift: an agent learns a number only with new content."
    )
    keeps_endpoints: bool = strawberry.field(
        description="The target names no endpoints, so the agent keeps those that it has."
    )

    @strawberry.field(description="How long ago `since` was.")
    def age_seconds(self, drift: Parent[Drift], info: Info) -> float | None:
        """Return the age of the drift."""
        if drift.since is None:
            return None
        return max(0.0, (info.context.ctx.clock.now() - drift.since).total_seconds())

    @strawberry.field(
        graphql_type=list[StateDifference],
        description=f"By path; the first {DIFFERENCES_MAX}.",
        directives=[list_size(DIFFERENCES_MAX)],
    )
    def differences(self, drift: Parent[Drift]) -> list[StateDifference]:
        """Return what differs."""
        # Strawberry reads the fields off the value.
        return drift.differences  # type: ignore[return-value]
