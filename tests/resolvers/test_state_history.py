"""What becomes history: replays, reports that changed something, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.context import Context
from core.errors import InvalidInput, NotFound
from core.events import AgentChanged
from models.agents import Agent
from models.connection import fetch
from models.current_states import CurrentState
from models.endpoint_health import health_of
from models.state_history import BODY_BYTES_MAX, StateRecord
from resolvers import current_states
from resolvers.state_history import list_state_history
from tests.doubles import ManualClock
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent, published

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRST: dict[str, Any] = {
    "version": 7,
    "apps": {"1001": {"appId": 1001}},
    "config": {"endpoints": []},
    "agent_version": "1.0.547",
    "endpoints_health": {"press": {"status": "online", "lastPoll": "2026-03-01T10:00:00Z"}},
    "cpu_usage": 23,
    "local_ip": "192.0.2.10",
    "vpn_health": {"up": True},
}
REPLAY: dict[str, Any] = {
    "apps": {},
    "is_online": True,
    "config": {"old": 1},
    "os_version": "older",
    "agent_version": "1.0.1",
    "local_ip": "192.0.2.99",
    "devices": [{"uuid": "found"}],
    "cpu_usage": 99,
    "memory_usage": 9,
    "temperature": 90,
}
"""As an agent queues it: without version, endpoints_health, network_interfaces, architecture."""


class Gateway:
    """Reports as one agent at moments of a clock that it owns."""

    def __init__(self, ctx: Context, agent: Agent) -> None:
        self.clock = ManualClock(NOON)
        self.ctx = replace(ctx, clock=self.clock)
        self.agent = agent
        self.me = as_agent(self.ctx, agent)

    async def report(self, **members: Any) -> None:
        body = {str(self.agent.uuid): members}
        await current_states.report_state(self.me, body, transport="mqtt")

    async def history(self, first: int = 100, **changes: Any) -> list[StateRecord]:
        return (await list_state_history(self.ctx, self.agent.uuid, first, **changes)).items

    async def everything(self) -> list[Any]:
        """Return all that is stored of the agent but its history."""
        ids = (self.agent.tenant_id, self.agent.id)
        return [
            await fetch("select * from agent where tenant_id = $1 and id = $2", *ids),
            await fetch("select * from current_state where tenant_id = $1 and agent_id = $2", *ids),
            await fetch("select * from agent_metric where tenant_id = $1 and agent_id = $2", *ids),
            await health_of(ids[0], [ids[1]]),
        ]


@pytest.fixture
async def gateway(ctx: Context) -> Gateway:
    return Gateway(ctx, await make_agent(ctx))


async def test_a_replay_touches_nothing_but_the_history(gateway: Gateway) -> None:
    """Older reports come after newer ones, without any timestamp."""
    await gateway.report(**FIRST)
    before, told = await gateway.everything(), len(published(gateway.ctx, AgentChanged))
    gateway.clock.advance(seconds=60)
    await gateway.report(**REPLAY)
    assert await gateway.everything() == before
    assert len(published(gateway.ctx, AgentChanged)) == told
    replay, first = await gateway.history()
    assert (replay.is_replay, replay.version, replay.body) == (True, None, REPLAY)
    assert replay.at == NOON + timedelta(seconds=60)
    assert (first.is_replay, first.version, first.body) == (False, 7, FIRST)


async def test_a_replay_before_the_first_report_brings_nobody_online(gateway: Gateway) -> None:
    before = await gateway.everything()
    await gateway.report(**REPLAY)
    assert await gateway.everything() == before
    assert await CurrentState.of(gateway.agent.tenant_id, agent_id=gateway.agent.id).count() == 0


async def test_the_same_replay_twice_within_a_day_is_one_record(gateway: Gateway) -> None:
    """An agent that repeats itself does no harm."""
    for _ in range(3):
        await gateway.report(**REPLAY)
        gateway.clock.advance(seconds=7_200)
    await gateway.report(**dict(reversed(REPLAY.items())))
    assert len(await gateway.history()) == 1
    await gateway.report(**REPLAY | {"cpu_usage": 98})
    assert len(await gateway.history()) == 2
    gateway.clock.advance(seconds=86_400)
    await gateway.report(**REPLAY)
    assert len(await gateway.history()) == 3


async def test_a_replay_of_an_agent_that_is_gone_is_refused(gateway: Gateway) -> None:
    await fetch("delete from agent where id = $1", gateway.agent.id)
    with pytest.raises(NotFound):
        await gateway.report(**REPLAY)


@pytest.mark.parametrize("version", ["7", "x", True, [], {}, 7.5], ids=repr)
async def test_a_version_that_is_no_number_is_a_live_report_all_the_same(
    gateway: Gateway, version: object
) -> None:
    await gateway.report(**FIRST)
    await gateway.report(version=version, apps={})
    state = await CurrentState.find_row(gateway.agent.tenant_id, agent_id=gateway.agent.id)
    assert (state.version, state.apps) == (7, {})


@pytest.mark.parametrize("version", [0, -5, 1, 1.0])
async def test_a_version_below_one_is_one(gateway: Gateway, version: object) -> None:
    await gateway.report(version=version)
    state = await CurrentState.find_row(gateway.agent.tenant_id, agent_id=gateway.agent.id)
    assert state.version == 1


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        ({"version": 8}, True),
        ({"apps": {}}, True),
        ({"config": {}}, True),
        ({"agent_version": "1.0.548"}, True),
        ({"endpoints_health": {"press": {"status": "offline"}}}, True),
        ({"endpoints_health": {"press": {"status": "online", "lastPoll": "later"}}}, False),
        ({"cpu_usage": 99, "uptime": 1, "local_ip": "192.0.2.11"}, False),
        ({"vpn_health": {"up": False}, "publish_health": {}}, False),
        ({"devices": []}, False),
    ],
    ids=[
        *("version", "apps", "config", "software", "health", "poll", "figures", "extra", "devices"),
    ],
)
async def test_a_live_report_becomes_history_when_it_changes_what_people_act_on(
    gateway: Gateway, change: dict[str, Any], is_kept: bool
) -> None:
    await gateway.report(**FIRST)
    gateway.clock.advance(seconds=60)
    await gateway.report(**FIRST)
    assert len(await gateway.history()) == 1
    gateway.clock.advance(seconds=60)
    await gateway.report(**FIRST | change)
    assert len(await gateway.history()) == 1 + is_kept


async def test_what_is_too_large_is_cut_with_a_mark(gateway: Gateway) -> None:
    huge = {"endpoints": [{"name": "x" * 1_000}] * 300}
    await gateway.report(**FIRST | {"config": huge})
    (record,) = await gateway.history()
    assert record.body["_cut"] == ["config"]
    assert record.body["apps"] == FIRST["apps"]
    gateway.clock.advance(seconds=60)
    await gateway.report(version=8, **{f"{number:_>200}": "x" * 500 for number in range(1_000)})
    size = await fetch(
        "select max(length(body::text)) as n from state_history where agent_id = $1",
        gateway.agent.id,
    )
    assert 0 < size[0]["n"] <= BODY_BYTES_MAX
    newest = (await gateway.history())[0]
    assert newest.body["version"] == 8
    assert len(newest.body["_cut"]) == 500


async def test_pages_hold_each_record_once_newest_first(gateway: Gateway) -> None:
    for number in range(3):
        await gateway.report(**FIRST | {"version": number + 7})
        await gateway.report(**REPLAY | {"cpu_usage": number})
        gateway.clock.advance(seconds=60)
    found: list[StateRecord] = []
    after = None
    for _ in range(3):
        page = await list_state_history(gateway.ctx, gateway.agent.uuid, 2, after)
        found += page.items
        after = page.cursors[-1]
    assert not page.has_next
    assert found == await gateway.history()
    assert sorted(each.version or 0 for each in found) == [0, 0, 0, 7, 8, 9]
    assert found == sorted(found, key=lambda each: each.at, reverse=True)
    minute = timedelta(minutes=1)
    some = await gateway.history(since=NOON + minute, until=NOON + 2 * minute)
    assert {each.version for each in some} == {8, None}


async def test_says_what_is_out_of_bounds(gateway: Gateway) -> None:
    uuid, ask = gateway.agent.uuid, list_state_history
    for first in (0, 501):
        with pytest.raises(InvalidInput, match="first"):
            await ask(gateway.ctx, uuid, first)
    with pytest.raises(InvalidInput, match="from"):
        await ask(gateway.ctx, uuid, 1, since=NOON, until=NOON)
    for cursor in ("x", "MS56eg"):
        with pytest.raises(InvalidInput, match="after"):
            await ask(gateway.ctx, uuid, 1, cursor)


async def test_another_tenants_agent_is_not_found(gateway: Gateway, ctx: Context) -> None:
    other = await make_tenant(ctx.clock, ctx.ids)
    stranger = gateway.ctx.acting_as(replace(gateway.ctx.caller, tenant_id=other.id))
    with pytest.raises(NotFound):
        await list_state_history(stranger, gateway.agent.uuid, 1)


async def test_reports_out_of_order_end_with_what_came_last(gateway: Gateway) -> None:
    """There is no sequence number in a report: what comes last is what counts."""
    for version in (7, 9, 8, 9, 8):
        await gateway.report(version=version, apps={str(version): {}})
        gateway.clock.advance(seconds=20)
    state = await CurrentState.find_row(gateway.agent.tenant_id, agent_id=gateway.agent.id)
    assert (state.version, state.apps) == (8, {"8": {}})
    assert len(await gateway.history()) == 5
