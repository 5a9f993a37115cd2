"""Current states: what agents report of themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from strawberry import Parent

from models import current_states as rows
from resolvers import current_states
from resolvers.state_history import EndpointHealth
from schema.context import Info
from schema.directives import list_size, requires
from schema.running_apps import RunningApp
from schema.scalars import Json, Long
from schema.secret_documents import READABLE, document, reported_config
from schema.system_info import SystemInfo


@strawberry.type(description="How an endpoint is, as its agent last reported.")
class ReportedEndpoint:
    """Read off the use case's value."""

    name: str
    protocol: str | None
    status: str | None = strawberry.field(description="online, offline or disabled.")
    connected: bool | None = strawberry.field(description="Null while the agent does not know.")
    last_poll: datetime | None = strawberry.field(description="By the agent's clock.")
    last_seen: datetime | None = strawberry.field(description="By the agent's clock.")
    error_count: Long | None
    last_error: str | None
    response_time_ms: float | None
    poll_success_rate: float | None = strawberry.field(description="0 to 1.")
    communication_quality: str | None = strawberry.field(
        description="good, degraded, poor, offline or disabled."
    )
    updated_at: datetime = strawberry.field(description="When that was reported.")


@strawberry.type(
    description="The merged reports of an agent: what a report left out keeps its last value."
)
class CurrentState:
    """Read off a row."""

    version: int | None = strawberry.field(
        description="The version of the target state that the agent has seen."
    )
    reported_at: datetime

    @strawberry.field(
        description=f"As reported; `runningApps` is the gist of it. {READABLE}",
    )
    def apps(self, row: Parent[rows.CurrentState], info: Info) -> Json:
        """Return the apps."""
        return document(info, row.apps)

    @strawberry.field(
        description="As reported, by name of the endpoint; `endpoints` is the gist of it."
    )
    def endpoints_health(self, row: Parent[rows.CurrentState], info: Info) -> Json | None:
        """Return the health of endpoints."""
        return document(info, row.endpoints_health)

    @strawberry.field(description="Devices the agent discovered.")
    def devices(self, row: Parent[rows.CurrentState], info: Info) -> Json | None:
        """Return what was discovered."""
        return document(info, row.devices)

    @strawberry.field(description="Members without a field of their own.")
    def extra(self, row: Parent[rows.CurrentState], info: Info) -> Json | None:
        """Return the rest of the reports."""
        return document(info, row.extra)

    @strawberry.field(
        description="As the agent has it. Secrets in connections of endpoints are masked, all "
        "others for callers without `device:write`."
    )
    def config(self, row: Parent[rows.CurrentState], info: Info) -> Json | None:
        """Return the configuration as the caller may see it."""
        return reported_config(info, row.config)

    @strawberry.field(description="The apps that the agent runs.", directives=[list_size(20)])
    def running_apps(self, row: Parent[rows.CurrentState], info: Info) -> list[RunningApp]:
        """Return the reported apps, typed."""
        apps: Any = document(info, row.apps)
        return [RunningApp.of(app_id, app) for app_id, app in sorted(apps.items())]

    @strawberry.field(
        description="The gateway itself.",
        directives=[requires("current_states.list_reporting_agents")],
    )
    async def system_info(self, row: Parent[rows.CurrentState], info: Info) -> SystemInfo | None:
        """Return the gateway's figures; one query for all agents of a list."""
        agent = await info.context.loaders.reporting_agent.load(row.agent_id)
        return SystemInfo.of(agent) if agent else None

    @strawberry.field(
        graphql_type=list[ReportedEndpoint],
        description="How the agent's endpoints are, by name.",
        directives=[requires("state_history.list_endpoint_health"), list_size(50)],
    )
    async def endpoints(self, row: Parent[rows.CurrentState], info: Info) -> list[EndpointHealth]:
        """Return health of endpoints; one query for all agents of a list."""
        return await info.context.loaders.endpoint_health.load(row.agent_id)


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
        "Members that are left out keep their value. A report without `version` waited in the "
        "agent's queue: it becomes history and changes nothing.",
        directives=[requires("current_states.report_state")],
    )
    async def report_state(self, info: Info, report: Json) -> ReportReceipt:
        """Merge a report of the calling agent."""
        await current_states.report_state(info.context.ctx, report, transport="http")
        return ReportReceipt(accepted=True)
