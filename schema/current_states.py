"""Current states: what agents report of themselves."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from models import current_states as rows
from resolvers import current_states
from schema.context import Info
from schema.directives import requires
from schema.scalars import Json


@strawberry.type(
    description="The merged reports of an agent: what a report left out keeps its last value."
)
class CurrentState:
    """Read off a row."""

    version: int | None = strawberry.field(
        description="The version of the target state that the agent has seen."
    )
    apps: Json
    config: Json | None
    endpoints_health: Json | None = strawberry.field(description="By name of the endpoint.")
    devices: Json | None = strawberry.field(description="Devices the agent discovered.")
    extra: Json | None = strawberry.field(description="Members without a field of their own.")
    reported_at: datetime


@strawberry.type(description="That a report has been taken over.")
class ReportReceipt:
    """The answer to a report."""

    accepted: bool


@strawberry.type
class CurrentStateQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=CurrentState | None,
        description="What an agent last reported; null before its first report.",
        directives=[requires("current_states.get_current_state")],
    )
    async def current_state(self, info: Info, agent_uuid: UUID) -> rows.CurrentState | None:
        """Return one agent's current state."""
        return await current_states.get_current_state(info.context.ctx, agent_uuid)


@strawberry.type
class CurrentStateMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="For agents: report the own state, as an object keyed by the agent's uuid. "
        "Members that are left out keep their value.",
        directives=[requires("current_states.report_state")],
    )
    async def report_state(self, info: Info, report: Json) -> ReportReceipt:
        """Merge a report of the calling agent."""
        await current_states.report_state(info.context.ctx, report, transport="http")
        return ReportReceipt(accepted=True)
