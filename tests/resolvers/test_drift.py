"""How far an agent is from its target, followed from change to report, and since when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.context import Context
from core.drift import SETTLING, Drift, DriftReason, DriftStatus
from core.events import AgentChanged
from models.agents import Agent
from models.current_states import CurrentState
from resolvers import current_states
from resolvers.state_history import list_drifts
from resolvers.target_states import set_target_state
from tests.doubles import ManualClock
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent, published

APPS: dict[str, Any] = {
    "1001": {"appId": 1001, "services": [{"serviceName": "web", "config": {"image": "nginx"}}]}
}


class Plant:
    """An operator and an agent, at moments of one clock."""

    def __init__(self, ctx: Context, agent: Agent) -> None:
        self.clock = ManualClock(ctx.clock.now())
        self.ctx = replace(ctx, clock=self.clock)
        self.agent = agent

    async def want(self, apps: dict[str, Any], **config: Any) -> datetime:
        await set_target_state(self.ctx, self.agent.uuid, apps=apps, config=config)
        return self.clock.now()

    async def report(self, version: int, apps: dict[str, Any]) -> datetime:
        own = as_agent(self.ctx, self.agent)
        body = {"version": version, "apps": apps}
        await current_states.report_state(own, body, transport="mqtt")
        return self.clock.now()

    def passes(self, minutes: float) -> None:
        self.clock.advance(seconds=minutes * 60)

    async def drift(self) -> Drift:
        return (await list_drifts(self.ctx, [self.agent.id]))[self.agent.id]

    async def status(self) -> tuple[DriftStatus, datetime | None]:
        drift = await self.drift()
        return drift.status, drift.since

    def announced(self) -> int:
        return len(published(self.ctx, AgentChanged))


@pytest.fixture
async def plant(ctx: Context) -> Plant:
    return Plant(ctx, await make_agent(ctx))


async def test_pending_then_in_sync(plant: Plant) -> None:
    assert (await plant.drift()).reason is DriftReason.NO_TARGET
    changed_at = await plant.want(APPS)
    assert (await plant.drift()).reason is DriftReason.NEVER_REPORTED
    await plant.report(1, {})
    assert await plant.status() == (DriftStatus.PENDING, changed_at)
    plant.passes(minutes=1)
    await plant.report(2, APPS)
    assert await plant.status() == (DriftStatus.IN_SYNC, None)


async def test_an_agent_that_does_not_follow_has_drifted_since_the_change(plant: Plant) -> None:
    await plant.want({}, logging={"level": "info"})
    await plant.report(2, {})
    plant.passes(minutes=60)
    changed_at = await plant.want(APPS)
    for _ in range(4):
        plant.passes(minutes=1)
        await plant.report(2, {})
    assert await plant.status() == (DriftStatus.DRIFTED, changed_at)
    drift = await plant.drift()
    assert [each.path for each in drift.differences] == ["apps.1001"]
    assert (drift.wanted_version, drift.reported_version) == (3, 2)
    plant.passes(minutes=1)
    await plant.report(3, APPS)
    assert await plant.status() == (DriftStatus.IN_SYNC, None)


async def test_an_agent_that_leaves_its_target_by_itself_drifts_from_then_on(plant: Plant) -> None:
    await plant.want(APPS)
    plant.passes(minutes=1)
    await plant.report(2, APPS)
    plant.passes(minutes=60)
    lost_at = await plant.report(2, {})
    plant.passes(minutes=10)
    await plant.report(2, {"7": {}})
    assert await plant.status() == (DriftStatus.DRIFTED, lost_at)


async def test_a_report_that_changes_nothing_tells_of_drift_all_the_same(plant: Plant) -> None:
    await plant.want({})
    await plant.report(2, {})
    await plant.want(APPS)
    plant.passes(minutes=0.1)
    before = plant.announced()
    await plant.report(2, {})
    assert plant.announced() == before + 1
    plant.passes(minutes=0.1)
    await plant.report(2, {})
    assert plant.announced() == before + 1


async def test_an_agent_whose_polling_is_off_is_not_called_broken(plant: Plant) -> None:
    """A cloud cannot turn target sync on: such an agent reports version 1 and never polls."""
    await plant.want(APPS)
    for _ in range(10):
        plant.passes(minutes=SETTLING.total_seconds() / 60)
        await plant.report(1, {})
    drift = await plant.drift()
    assert (drift.status, drift.reason) == (DriftStatus.UNKNOWN, DriftReason.NOT_POLLED)
    assert drift.since is None


async def test_a_number_that_lags_is_no_drift(plant: Plant) -> None:
    """`version` alone never triggers an apply, and a bare change of it is reported late."""
    await plant.want(APPS)
    await plant.report(2, APPS)
    await plant.want(APPS, logging={"level": "debug"})
    plant.passes(minutes=60)
    await plant.report(2, APPS)
    assert await plant.status() == (DriftStatus.IN_SYNC, None)
    drift = await plant.drift()
    assert (drift.wanted_version, drift.reported_version) == (3, 2)


async def test_a_target_that_comes_back_ends_the_drift_at_once(plant: Plant) -> None:
    await plant.want(APPS)
    plant.passes(minutes=60)
    await plant.report(2, {})
    assert (await plant.status())[0] is DriftStatus.DRIFTED
    await plant.want({})
    assert await plant.status() == (DriftStatus.IN_SYNC, None)
    plant.passes(minutes=1)
    await plant.report(2, {})
    row = await CurrentState.find_row(plant.agent.tenant_id, agent_id=plant.agent.id)
    assert row.diverged_at is None


async def test_the_age_is_that_of_the_first_divergence(plant: Plant) -> None:
    first = await plant.want(APPS)
    plant.passes(minutes=60)
    await plant.report(2, {})
    await plant.want(APPS | {"7": {"appName": "other"}})
    plant.passes(minutes=60)
    await plant.report(2, {})
    assert await plant.status() == (DriftStatus.DRIFTED, first)
    assert plant.clock.now() - first == timedelta(hours=2)


async def test_agents_of_another_tenant_are_left_out(plant: Plant) -> None:
    other = await make_tenant(plant.ctx.clock, plant.ctx.ids)
    stranger = plant.ctx.acting_as(replace(plant.ctx.caller, tenant_id=other.id))
    assert await list_drifts(stranger, [plant.agent.id]) == {}
