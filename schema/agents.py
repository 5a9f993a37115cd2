"""Agents: the software on edge gateways."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import Slice
from models import agents as rows
from models import current_states as state_rows
from resolvers import agents
from resolvers.agents import AgentPage as NumberedAgents
from schema.agent_changes import AgentFeed, follow_agents
from schema.context import Info
from schema.current_states import CurrentState
from schema.directives import list_size, requires
from schema.enums import ActivityFilter, AgentActivity, AgentStatus, ProvisioningState
from schema.loaders import LatestKey
from schema.readings import Reading
from schema.scalars import Json
from schema.target_states import TargetState


@strawberry.type(description="The gateway itself, as last reported; null what was never reported.")
class AgentMetrics:
    """Read off an agent's row."""

    cpu_usage: float | None = strawberry.field(description="Percent.")
    cpu_temp: float | None = strawberry.field(description="Degrees Celsius.")
    memory_usage: float | None = strawberry.field(description="MB.")
    memory_total: float | None = strawberry.field(description="MB.")
    storage_usage: float | None = strawberry.field(description="MB.")
    storage_total: float | None = strawberry.field(description="MB.")
    uptime_seconds: float | None


@strawberry.type(description="The software on an edge gateway.")
class Agent(AgentMetrics):
    """Read off an agent's row; its keys and challenges are no part of the contract."""

    uuid: UUID
    name: str
    type: str = strawberry.field(description="What kind of gateway, in the agent's words.")
    is_online: bool
    is_active: bool = strawberry.field(description="False: the agent is locked out.")
    last_seen_at: datetime | None
    provisioning_state: ProvisioningState
    created_at: datetime
    provisioned_at: datetime | None
    changed_at: datetime = strawberry.field(description="When an operator could see a change.")
    os_version: str | None
    architecture: str | None
    mac_address: str | None
    ip_address: str | None
    network_interfaces: Json | None

    @strawberry.field
    def status(self, row: Parent[rows.Agent]) -> AgentStatus:
        """Return whether the agent was heard of lately."""
        return AgentStatus.ONLINE if row.is_online else AgentStatus.OFFLINE

    @strawberry.field(description="`isActive` as a word.")
    def activity(self, row: Parent[rows.Agent]) -> AgentActivity:
        """Return whether the agent may use the system."""
        return AgentActivity.ACTIVE if row.is_active else AgentActivity.INACTIVE

    @strawberry.field(description="Version of the agent's software.")
    def version(self, row: Parent[rows.Agent]) -> str | None:
        """Return the software's version as last reported."""
        return row.agent_version

    @strawberry.field(graphql_type=AgentMetrics, description="The gateway's own figures together.")
    def metrics(self, row: Parent[rows.Agent]) -> rows.Agent:
        """Return the row, which has the metrics."""
        return row

    @strawberry.field(
        description="The newest reading of each metric of each device, by metric and device.",
        directives=[requires("readings.latest_of_agents"), list_size(20)],
    )
    async def latest(
        self, row: Parent[rows.Agent], info: Info, metrics: list[str] | None = None
    ) -> list[Reading]:
        """Return newest readings; one query for all agents of a list."""
        key = LatestKey(row.id, None if metrics is None else tuple(sorted(set(metrics))))
        found = await info.context.loaders.latest.load(key)
        info.context.budget.take(len(found))
        return [Reading.of_latest(reading) for reading in found]

    @strawberry.field(
        description="What should run on the agent.",
        directives=[requires("target_states.list_target_states")],
    )
    async def target_state(self, row: Parent[rows.Agent], info: Info) -> TargetState:
        """Return the target state; one query for all agents of a list."""
        return TargetState.of(row.uuid, await info.context.loaders.target_state.load(row.id))

    @strawberry.field(
        graphql_type=CurrentState | None,
        description="What the agent last reported; null before its first report.",
        directives=[requires("current_states.list_current_states")],
    )
    async def current_state(
        self, row: Parent[rows.Agent], info: Info
    ) -> state_rows.CurrentState | None:
        """Return the current state; one query for all agents of a list."""
        return await info.context.loaders.current_state.load(row.id)

    @strawberry.field(
        description="How many apps should run.",
        directives=[requires("target_states.list_target_states")],
    )
    async def target_apps_count(self, row: Parent[rows.Agent], info: Info) -> int:
        """Return the number of apps in the target state."""
        state = await info.context.loaders.target_state.load(row.id)
        return len(state.apps) if state else 0

    @strawberry.field(
        description="How many apps the agent reports.",
        directives=[requires("current_states.list_current_states")],
    )
    async def current_apps_count(self, row: Parent[rows.Agent], info: Info) -> int:
        """Return the number of apps in the current state."""
        state = await info.context.loaders.current_state.load(row.id)
        return len(state.apps) if state else 0

    @strawberry.field(
        description="When the agent last reported its state.",
        directives=[requires("current_states.list_current_states")],
    )
    async def last_reported_at(self, row: Parent[rows.Agent], info: Info) -> datetime | None:
        """Return the time of the last report."""
        state = await info.context.loaders.current_state.load(row.id)
        return state.reported_at if state else None


@strawberry.input(description="Which agents. What is left out means all.")
class AgentFilter:
    """Conditions on agents; all must hold."""

    online: bool | None = None
    activity: ActivityFilter = ActivityFilter.ALL
    text: str | None = strawberry.field(
        default=None, description="A part of the name, or the whole uuid."
    )

    def to_filter(self) -> agents.AgentFilter:
        """Return the same for use cases."""
        active = {ActivityFilter.ACTIVE: True, ActivityFilter.INACTIVE: False}.get(self.activity)
        return agents.AgentFilter(self.online, active, self.text)


@strawberry.type
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool
    end_cursor: str | None = strawberry.field(description="Give it as `after` for the next page.")

    @classmethod
    def of(cls, page: Slice[Any]) -> PageInfo:
        """Return the place of a page."""
        return cls(
            has_next_page=page.has_next, end_cursor=page.cursors[-1] if page.cursors else None
        )


@strawberry.type
class AgentEdge:
    """An agent and its place in the list."""

    cursor: str
    node: Agent


@strawberry.type(description="A page of agents, by name.")
class AgentConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.Agent]]) -> list[AgentEdge]:
        """Return the agents with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[Agent])
    def nodes(self, page: Parent[Slice[rows.Agent]]) -> list[rows.Agent]:
        """Return the agents alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.Agent]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many agents match in all.")
    def total_count(self, page: Parent[Slice[rows.Agent]]) -> int:
        """Return the number of matches on all pages."""
        return page.total


@strawberry.type
class PageNumbers:
    """A numbered page's place."""

    page: int
    limit: int
    total: int
    pages: int


@strawberry.type(description="A numbered page of agents, by name. `agents` pages better.")
class AgentPage:
    """Read off the use case's AgentPage."""

    @strawberry.field(graphql_type=list[Agent])
    def nodes(self, page: Parent[NumberedAgents]) -> list[rows.Agent]:
        """Return the agents."""
        return page.items

    @strawberry.field
    def pagination(self, page: Parent[NumberedAgents]) -> PageNumbers:
        """Return the page's place."""
        pages = -(-page.total // page.limit)
        return PageNumbers(page=page.page, limit=page.limit, total=page.total, pages=pages)


@strawberry.type
class AgentQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=Agent | None,
        description="One agent; null with an error NOT_FOUND when there is none of this uuid.",
        directives=[requires("agents.get_agent")],
    )
    async def agent(self, info: Info, uuid: UUID) -> rows.Agent:
        """Return one agent."""
        return await agents.get_agent(info.context.ctx, uuid)

    @strawberry.field(
        graphql_type=AgentConnection,
        description="Agents by name; `first` is at most 500.",
        directives=[
            requires("agents.list_agents"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agents(
        self,
        info: Info,
        filter: AgentFilter | None = None,  # noqa: A002  # the name in the contract
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.Agent]:
        """Return a page of agents."""
        wanted = (filter or AgentFilter()).to_filter()
        return await agents.list_agents(info.context.ctx, wanted, first, after)

    @strawberry.field(
        graphql_type=AgentPage,
        description="Agents by numbered pages, for clients that need them.",
        directives=[
            requires("agents.page_agents"),
            list_size(10, argument="limit", fields=["nodes"]),
        ],
    )
    async def agent_page(
        self,
        info: Info,
        filter: AgentFilter | None = None,  # noqa: A002  # as above
        page: int = 1,
        limit: int = 10,
    ) -> NumberedAgents:
        """Return a numbered page of agents."""
        wanted = (filter or AgentFilter()).to_filter()
        return await agents.page_agents(info.context.ctx, wanted, page, limit)


@strawberry.type
class AgentSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=Agent,
        description="An agent, whenever an operator could see a change of it. With `agentUuid` it "
        "starts with the agent as it is.",
        directives=[requires("agents.get_agent")],
    )
    async def agent_changed(
        self,
        info: Info,
        agent_uuid: Annotated[
            UUID | None, strawberry.argument(description="Default: all agents.")
        ] = None,
    ) -> AgentFeed:
        """Return the feed."""
        return await follow_agents(info.context.ctx, agent_uuid)
