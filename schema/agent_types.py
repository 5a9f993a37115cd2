"""What is told of an agent, wherever it is told."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import Parent

from core.drift import Drift
from models import agents as rows
from models import current_states as state_rows
from models import fleets as fleet_rows
from schema.context import Info
from schema.current_states import CurrentState
from schema.directives import list_size, requires
from schema.drift import AgentDrift
from schema.enums import AgentActivity, AgentStatus, ProvisioningState
from schema.fleet_types import Fleet
from schema.loaders import LatestKey
from schema.readings import Reading
from schema.scalars import Json, Long
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
    location: str = strawberry.field(description="Where it stands, in people's words.")
    tags: Json = strawberry.field(description="An object of texts by key.")
    vpn_enabled: bool = strawberry.field(
        resolver=lambda: False, description="Always false: there is no VPN."
    )
    credential_expires_at: datetime | None = strawberry.field(
        resolver=lambda: None, description="Always null: device keys do not expire."
    )

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

    @strawberry.field
    def fleet_uuid(self, row: Parent[rows.Agent]) -> UUID | None:
        """Return the fleet that the agent belongs to."""
        return row.fleet_id

    @strawberry.field(
        graphql_type=Fleet | None,
        description="The fleet that the agent belongs to.",
        directives=[requires("fleets.find_fleets")],
    )
    async def fleet(self, row: Parent[rows.Agent], info: Info) -> fleet_rows.Fleet | None:
        """Return the fleet; one query for all agents of a list."""
        return await info.context.loaders.fleet.load(row.fleet_id) if row.fleet_id else None

    @strawberry.field(
        description="The user name of its account on the broker; null before its key exchange.",
        directives=[requires("mqtt_accounts.list_agent_usernames")],
    )
    async def mqtt_username(self, row: Parent[rows.Agent], info: Info) -> str | None:
        """Return the account's name; one query for all agents of a list."""
        return await info.context.loaders.mqtt_username.load(row.id)

    @strawberry.field(
        description="When it last sent a message over MQTT; null if it never did.",
        directives=[requires("broker_view.find_agent_traffic")],
    )
    async def last_message_at(self, row: Parent[rows.Agent], info: Info) -> datetime | None:
        """Return the time; one query for all agents of a list."""
        traffic = await info.context.loaders.traffic.load(row.id)
        return traffic.last_message_at if traffic else None

    @strawberry.field(
        description="Messages it has sent over MQTT since counting began.",
        directives=[requires("broker_view.find_agent_traffic")],
    )
    async def messages_received(self, row: Parent[rows.Agent], info: Info) -> Long:
        """Return the number; one query for all agents of a list."""
        traffic = await info.context.loaders.traffic.load(row.id)
        return Long(traffic.messages if traffic else 0)

    @strawberry.field(
        description="Bytes of those messages' payloads.",
        directives=[requires("broker_view.find_agent_traffic")],
    )
    async def bytes_received(self, row: Parent[rows.Agent], info: Info) -> Long:
        """Return the number; one query for all agents of a list."""
        traffic = await info.context.loaders.traffic.load(row.id)
        return Long(traffic.bytes if traffic else 0)

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
        graphql_type=AgentDrift,
        description="Where the agent is not as its target state says, and since when.",
        directives=[requires("state_history.list_drifts")],
    )
    async def drift(self, row: Parent[rows.Agent], info: Info) -> Drift:
        """Return target against current state; one query for all agents of a list."""
        return await info.context.loaders.drift.load(row.id)

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
