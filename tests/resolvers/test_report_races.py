"""Reports over two connections at once: the last one wins, and none is lost."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from core.context import Context
from core.state_reports import StateReport
from models import state_history
from models.agents import Agent
from models.connection import fetch
from models.current_states import CurrentState
from resolvers import current_states
from tests.factories import make_agent
from tests.resolvers.edge import as_agent

pytestmark = pytest.mark.slow

MEMBERS: dict[str, list[Any]] = {
    "apps": [{}, {"1": {"appId": 1}}, {"2": {"appId": 2}}],
    "config": [{}, {"endpoints": []}, {"logging": {"level": "info"}}],
    "devices": [[], [{"uuid": "a"}]],
    "endpoints_health": [{}, {"press": {"status": "online"}}, {"oven": {"status": "offline"}}],
    "cpu_usage": [1, 2, 3],
    "temperature": [40, 50],
    "local_ip": ["192.0.2.1", "192.0.2.2"],
    "agent_version": ["1.0.1", "1.0.2"],
    "network_interfaces": [[], [{"name": "eth0"}]],
    "vpn_health": [{"up": True}, {"up": False}],
    "publish_health": [{"ok": 1}],
}
STATE = ("version", "apps", "config", "devices", "endpoints_health", "extra")
GATEWAY = ("cpu_usage", "cpu_temp", "ip_address", "agent_version", "network_interfaces")


def some_report(chance: random.Random) -> dict[str, Any]:
    names = [name for name in MEMBERS if chance.random() < 0.4]
    return {name: chance.choice(MEMBERS[name]) for name in names}


async def outcome(agent: Agent) -> list[object]:
    """Return all that reports leave, but for times."""
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    row = await Agent.find_row(agent.tenant_id, id=agent.id)
    health = await fetch(
        "select name, status from endpoint_health where tenant_id = $1 and agent_id = $2"
        " order by name",
        *(agent.tenant_id, agent.id),
    )
    return [*(getattr(state, name) for name in STATE), *(getattr(row, n) for n in GATEWAY), health]


@pytest.mark.parametrize("seed", range(6))
async def test_any_interleaving_ends_as_the_order_of_commits_says(
    ctx: Context, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    order: list[dict[str, Any]] = []

    async def in_the_transaction(
        _ctx: Context, _work: object, _agent_id: int, report: StateReport
    ) -> None:
        order.append(report.body)
        await asyncio.sleep(chance.random() / 500)

    monkeypatch.setattr(current_states, "note_report", in_the_transaction)
    agent, twin = await make_agent(ctx), await make_agent(ctx)
    reports = [some_report(chance) | {"version": number + 1} for number in range(24)]

    async def send(which: list[dict[str, Any]], transport: Any) -> None:
        for body in which:
            await current_states.report_state(as_agent(ctx, agent), body, transport=transport)

    await asyncio.gather(send(reports[::2], "mqtt"), send(reports[1::2], "http"))
    assert len(order) == len(reports)
    happened = order.copy()
    for body in happened:
        await current_states.report_state(as_agent(ctx, twin), body, transport="mqtt")
    assert await outcome(agent) == await outcome(twin)


async def test_a_change_is_told_by_what_the_report_before_left(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what the statement saw when it began to wait for the other one."""
    agent = await make_agent(ctx)
    own = as_agent(ctx, agent)
    order: list[Any] = []

    async def in_the_transaction(
        _ctx: Context, _work: object, _agent_id: int, report: StateReport
    ) -> None:
        order.append(report.apps)
        await asyncio.sleep(0.002)

    monkeypatch.setattr(current_states, "note_report", in_the_transaction)
    monkeypatch.setattr(state_history, "LIVE_EVERY", -timedelta(seconds=1))  # none is too soon
    reports = [{"version": 1, "apps": {str(number % 3): {}}} for number in range(60)]
    random.Random(1).shuffle(reports)
    await current_states.report_state(own, reports[-1], transport="mqtt")
    for start in range(0, len(reports), 4):
        sending = reports[start : start + 4]
        await asyncio.gather(
            *(current_states.report_state(own, each, transport="mqtt") for each in sending)
        )
    changes = [after for before, after in pairwise([None, *order]) if before != after]
    rows = await fetch(
        "select 1 from state_history where tenant_id = $1 and agent_id = $2",
        *(agent.tenant_id, agent.id),
    )
    assert len(rows) == len(changes)


async def test_a_report_that_seems_to_come_before_another_is_merged(ctx: Context) -> None:
    """Clocks of two processes differ, and a report waits for the lock: neither makes it late."""
    agent = await make_agent(ctx)
    own, now = as_agent(ctx, agent), ctx.clock.now()
    for version, moment in ((2, now), (3, now - timedelta(milliseconds=300))):
        body = {"version": version}
        await current_states.report_state(own, body, transport="http", came_at=moment)
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    assert state.version == 3


async def test_one_that_waited_for_the_database_does_not_undo_a_newer_one(ctx: Context) -> None:
    agent = await make_agent(ctx)
    own, now = as_agent(ctx, agent), ctx.clock.now()
    for version, moment in ((2, now), (3, now - timedelta(seconds=30))):
        body = {"version": version, "cpu_usage": version, "endpoints_health": {str(version): {}}}
        await current_states.report_state(own, body, transport="mqtt", came_at=moment)
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    row = await Agent.find_row(agent.tenant_id, id=agent.id)
    assert (state.version, state.endpoints_health, row.cpu_usage) == (2, {"2": {}}, 2)
    assert row.last_seen_at == now
    assert state.reported_at == now
