"""One query per relation and level, however many agents a list has.

Nothing is remembered between batches: a subscription outlives what it has read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from core.context import Context
from core.drift import Drift, drift_of
from core.readings import LatestReading
from models.agent_traffic import AgentTraffic
from models.agents import Agent
from models.current_states import CurrentState
from models.endpoint_health import EndpointHealth
from models.fleets import Fleet, FleetCounts
from models.target_states import TargetState
from models.users import User
from resolvers import (
    broker_view,
    current_states,
    fleets,
    mqtt_accounts,
    readings,
    state_history,
    target_states,
    users,
)
from schema.batching import Loader
from schema.broker_loaders import BrokerLoaders
from schema.sensor_loaders import SensorLoaders


class LatestKey(NamedTuple):
    """Whose newest readings, and of which metrics; None means all."""

    agent_id: int
    metrics: tuple[str, ...] | None


class MembersKey(NamedTuple):
    """Of which fleet, and how many agents at most."""

    fleet_id: UUID
    first: int


class Loaders:
    """The relations of agents and fleets; each loader is made when a field first asks for it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    @cached_property
    def latest(self) -> Loader[LatestKey, list[LatestReading]]:
        """Newest readings per agent, by metric and device."""
        return Loader(self._latest)

    @cached_property
    def target_state(self) -> Loader[int, TargetState | None]:
        """Target state per agent id; None for an agent that was never given one."""
        return Loader(self._target_states)

    @cached_property
    def current_state(self) -> Loader[int, CurrentState | None]:
        """Current state per agent id; None for an agent that has not reported."""
        return Loader(self._current_states)

    @cached_property
    def reporting_agent(self) -> Loader[int, Agent | None]:
        """Agent per id, with what it reported of its gateway."""
        return Loader(self._reporting_agents)

    @cached_property
    def endpoint_health(self) -> Loader[int, list[EndpointHealth]]:
        """Health of endpoints per agent id, by name."""
        return Loader(self._endpoint_health)

    @cached_property
    def drift(self) -> Loader[int, Drift]:
        """Target against current state per agent id."""
        return Loader(self._drifts)

    @cached_property
    def person(self) -> Loader[UUID, User | None]:
        """Person per id; None for one who is gone."""
        return Loader(self._people)

    @cached_property
    def fleet(self) -> Loader[UUID, Fleet | None]:
        """Fleet per id; None for one that was deleted."""
        return Loader(self._fleets)

    @cached_property
    def fleet_counts(self) -> Loader[UUID, FleetCounts]:
        """How many agents, per fleet id."""
        return Loader(self._fleet_counts)

    @cached_property
    def members(self) -> Loader[MembersKey, list[Agent]]:
        """The first agents of fleets, by name."""
        return Loader(self._members)

    @cached_property
    def traffic(self) -> Loader[int, AgentTraffic | None]:
        """What was sent over MQTT per agent id; None for an agent that never sent anything."""
        return Loader(self._traffic)

    @cached_property
    def mqtt_username(self) -> Loader[int, str | None]:
        """Name of the broker's account per agent id; None for an agent without one."""
        return Loader(self._mqtt_usernames)

    @cached_property
    def sensors(self) -> SensorLoaders:
        """The relations of sensors."""
        return SensorLoaders(self._ctx)

    @cached_property
    def broker(self) -> BrokerLoaders:
        """The relations of accounts on the broker."""
        return BrokerLoaders(self._ctx)

    async def _latest(self, keys: Sequence[LatestKey]) -> list[list[LatestReading]]:
        found: dict[LatestKey, list[LatestReading]] = {}
        for metrics in {key.metrics for key in keys}:
            ids = sorted({key.agent_id for key in keys if key.metrics == metrics})
            by_agent = await readings.latest_of_agents(self._ctx, ids, metrics)
            for agent_id, rows in by_agent.items():
                rows.sort(key=lambda row: (row.info.metric, row.info.device))
                found[LatestKey(agent_id, metrics)] = rows
        return [found[key] for key in keys]

    async def _target_states(self, ids: Sequence[int]) -> list[TargetState | None]:
        rows = await target_states.list_target_states(self._ctx, ids)
        by_agent = {row.agent_id: row for row in rows}
        return [by_agent.get(agent_id) for agent_id in ids]

    async def _current_states(self, ids: Sequence[int]) -> list[CurrentState | None]:
        rows = await current_states.list_current_states(self._ctx, ids)
        by_agent = {row.agent_id: row for row in rows}
        return [by_agent.get(agent_id) for agent_id in ids]

    async def _reporting_agents(self, ids: Sequence[int]) -> list[Agent | None]:
        rows = await current_states.list_reporting_agents(self._ctx, ids)
        by_id = {row.id: row for row in rows}
        return [by_id.get(agent_id) for agent_id in ids]

    async def _endpoint_health(self, ids: Sequence[int]) -> list[list[EndpointHealth]]:
        by_agent = await state_history.list_endpoint_health(self._ctx, ids)
        return [by_agent.get(agent_id, []) for agent_id in ids]

    async def _drifts(self, ids: Sequence[int]) -> list[Drift]:
        by_agent = await state_history.list_drifts(self._ctx, ids)
        return [by_agent.get(agent_id) or drift_of(None, None) for agent_id in ids]

    async def _people(self, ids: Sequence[UUID]) -> list[User | None]:
        by_id = {row.id: row for row in await users.find_people(self._ctx, ids)}
        return [by_id.get(user_id) for user_id in ids]

    async def _fleets(self, ids: Sequence[UUID]) -> list[Fleet | None]:
        rows = await fleets.find_fleets(self._ctx, ids)
        return [rows.get(fleet_id) for fleet_id in ids]

    async def _fleet_counts(self, ids: Sequence[UUID]) -> list[FleetCounts]:
        counts = await fleets.count_members(self._ctx, ids)
        return [counts.get(fleet_id, FleetCounts()) for fleet_id in ids]

    async def _members(self, keys: Sequence[MembersKey]) -> list[list[Agent]]:
        found: dict[MembersKey, list[Agent]] = {}
        for first in {key.first for key in keys}:
            ids = [key.fleet_id for key in keys if key.first == first]
            for fleet_id, rows in (await fleets.list_members(self._ctx, ids, first)).items():
                found[MembersKey(fleet_id, first)] = rows
        return [found[key] for key in keys]

    async def _traffic(self, ids: Sequence[int]) -> list[AgentTraffic | None]:
        rows = await broker_view.find_agent_traffic(self._ctx, ids)
        return [rows.get(agent_id) for agent_id in ids]

    async def _mqtt_usernames(self, ids: Sequence[int]) -> list[str | None]:
        names = await mqtt_accounts.list_agent_usernames(self._ctx, ids)
        return [names.get(agent_id) for agent_id in ids]
