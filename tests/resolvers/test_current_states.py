from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound
from core.events import AgentChanged
from models.agents import Agent
from models.current_states import CurrentState
from resolvers import current_states
from tests.doubles import ManualClock, RecordingBus
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent

RECORDED = Path(__file__).parent.parent / "fixtures/agent-traffic/http.jsonl"
FIRST: dict[str, Any] = {
    "agent_version": "1.0.547",
    "architecture": "x64",
    "os_version": "Debian GNU/Linux 12 (bookworm)",
    "apps": {"1001": {"appId": 1001}},
    "is_online": True,
    "version": 7,
    "config": {"endpoints": [{"id": "6a1d", "connectionString": "{}"}]},
    "devices": [{"uuid": "6a1d", "name": "press_plc"}],
    "endpoints_health": {"press_plc": {"status": "online", "lastPoll": "10:00"}},
    "cpu_usage": 23,
    "memory_usage": 412,
    "memory_total": 3906,
    "storage_usage": 8120,
    "storage_total": 29600,
    "temperature": 47,
    "uptime": 3600,
    "local_ip": "192.0.2.10",
    "network_interfaces": [{"name": "eth0", "ip4": "192.0.2.10"}],
    "vpn_health": {"up": True},
}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


class Gateway:
    """Reports as one agent, and reads what came of it."""

    def __init__(self, ctx: Context, agent: Agent, clock: ManualClock) -> None:
        self.ctx = replace(ctx, clock=clock)
        self.agent = agent
        self.me = as_agent(self.ctx, agent)

    async def report(self, **fields: Any) -> None:
        body = {str(self.agent.uuid): fields}
        await current_states.report_state(self.me, body, transport="mqtt")

    async def state(self) -> CurrentState:
        state = await current_states.get_current_state(self.ctx, self.agent.uuid)
        assert state is not None
        return state

    async def row(self) -> Agent:
        return await Agent.find_row(self.agent.tenant_id, id=self.agent.id)

    def announced(self) -> int:
        assert isinstance(self.ctx.bus, RecordingBus)
        return sum(isinstance(event, AgentChanged) for _, event in self.ctx.bus.published)


@pytest.fixture
def gateway(ctx: Context, agent: Agent, clock: ManualClock) -> Gateway:
    return Gateway(ctx, agent, clock)


async def test_nothing_is_known_before_the_first_report(ctx: Context, agent: Agent) -> None:
    assert await current_states.get_current_state(ctx, agent.uuid) is None


async def test_keeps_every_part_of_a_first_report(gateway: Gateway, clock: ManualClock) -> None:
    await gateway.report(**FIRST)
    state, row = await gateway.state(), await gateway.row()
    for name in ("version", "apps", "config", "devices", "endpoints_health"):
        assert getattr(state, name) == FIRST[name], name
    assert state.extra == {"vpn_health": {"up": True}}
    assert state.reported_at == clock.now()
    for name in ("agent_version", "architecture", "os_version", "network_interfaces"):
        assert getattr(row, name) == FIRST[name], name
    assert row.ip_address == "192.0.2.10"
    assert (row.cpu_usage, row.cpu_temp, row.uptime_seconds) == (23, 47, 3600)
    assert (row.memory_usage, row.memory_total) == (412, 3906)
    assert (row.storage_usage, row.storage_total) == (8120, 29600)
    assert row.is_online
    assert row.last_seen_at == clock.now()


async def test_what_is_left_out_is_unchanged(gateway: Gateway, clock: ManualClock) -> None:
    await gateway.report(**FIRST)
    clock.advance(seconds=20)
    await gateway.report(apps={}, is_online=True, version=8)
    state, row = await gateway.state(), await gateway.row()
    assert (state.version, state.apps) == (8, {})
    for name in ("config", "devices", "endpoints_health"):
        assert getattr(state, name) == FIRST[name], name
    assert state.extra == {"vpn_health": {"up": True}}
    assert state.reported_at == clock.now()
    assert (row.cpu_usage, row.agent_version, row.ip_address) == (23, "1.0.547", "192.0.2.10")
    await gateway.report(version=8, publish_health={"ok": 1}, cpu_usage=0)
    assert (await gateway.state()).extra == {
        "vpn_health": {"up": True},
        "publish_health": {"ok": 1},
    }
    assert (await gateway.row()).cpu_usage == 0


async def test_announces_what_people_see_and_figures_now_and_then(
    gateway: Gateway, clock: ManualClock
) -> None:
    await gateway.report(**FIRST)
    assert gateway.announced() == 1
    clock.advance(seconds=10)
    health = {"press_plc": {"status": "online", "lastPoll": "10:10"}}
    await gateway.report(**FIRST | {"cpu_usage": 50, "endpoints_health": health})
    assert gateway.announced() == 1
    clock.advance(seconds=20)
    await gateway.report(**FIRST | {"cpu_usage": 60})
    assert gateway.announced() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"version": 8},
        {"apps": {}},
        {"config": {}},
        {"devices": []},
        {"endpoints_health": {"press_plc": {"status": "offline"}}},
        {"endpoints_health": {}},
        {"agent_version": "1.0.548"},
        {"local_ip": "192.0.2.11"},
    ],
)
async def test_announces_a_change_at_once(gateway: Gateway, change: dict[str, Any]) -> None:
    await gateway.report(**FIRST)
    await gateway.report(**FIRST)
    assert gateway.announced() == 1
    await gateway.report(**FIRST | change)
    assert gateway.announced() == 2


async def test_announces_an_agent_that_came_back(gateway: Gateway) -> None:
    await gateway.report(**FIRST)
    await Agent.of(gateway.agent.tenant_id, id=gateway.agent.id).update(is_online=False)
    await gateway.report(**FIRST)
    assert gateway.announced() == 2
    assert (await gateway.row()).is_online


async def test_first_reports_at_once_lose_nothing(gateway: Gateway) -> None:
    fields: list[dict[str, Any]] = [
        {"config": {"a": 1}},
        {"devices": []},
        {"endpoints_health": {}},
        {"vpn_health": 1},
    ]
    await asyncio.gather(*(gateway.report(version=3, apps={}, **part) for part in fields))
    state = await gateway.state()
    assert state.config == {"a": 1}
    assert state.devices == []
    assert state.endpoints_health == {}
    assert state.extra == {"vpn_health": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2**40, "apps": {"a": "\x00"}, "cpu_usage": 1e308, "x\x00": "\x00"},
        {"version": 1, "agent_version": "v" * 900, "local_ip": "1" * 900},
        {"version": 0, "apps": [], "config": 7, "devices": {}, "cpu_usage": "hot"},
        {"version": 1, "extra": 2**70, "endpoints_health": {"a": 5}},
    ],
)
async def test_strange_parts_are_left_out_not_refused(
    gateway: Gateway, fields: dict[str, Any]
) -> None:
    await gateway.report(**fields)
    assert (await gateway.row()).is_online


async def test_refuses_a_report_of_another_agent(gateway: Gateway) -> None:
    bodies: list[object] = [{str(uuid4()): FIRST}, [], "x", None]
    for body in bodies:
        with pytest.raises(InvalidInput):
            await current_states.report_state(gateway.me, body, transport="http")
    assert not (await gateway.row()).is_online


async def test_refuses_what_is_nested_without_end(gateway: Gateway) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(InvalidInput):
        await gateway.report(version=1, vpn_health=deep)


async def test_takes_the_recorded_reports(ctx: Context) -> None:
    lines = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    bodies = [line["body"] for line in lines if line["method"] == "PATCH"]
    (uuid,) = bodies[0]
    agent = await make_agent(ctx, uuid=uuid)
    for body in bodies:
        await current_states.report_state(as_agent(ctx, agent), body, transport="http")
    state = await current_states.get_current_state(ctx, agent.uuid)
    assert state is not None
    assert state.config == bodies[0][uuid]["config"]


async def test_metrics_touch_the_gateways_figures_only(gateway: Gateway) -> None:
    await gateway.report(**FIRST)
    await current_states.report_metrics(
        gateway.me, {"cpu_usage": 80, "version": 99, "apps": {}, "config": {}}
    )
    assert (await gateway.row()).cpu_usage == 80
    state = await gateway.state()
    assert (state.version, state.apps) == (7, FIRST["apps"])


async def test_metrics_alone_show_that_an_agent_is_there(ctx: Context, gateway: Gateway) -> None:
    await current_states.report_metrics(gateway.me, {str(gateway.agent.uuid): {"cpu_usage": 1}})
    assert (await gateway.row()).is_online
    assert gateway.announced() == 1
    assert await current_states.get_current_state(ctx, gateway.agent.uuid) is None


async def test_a_superseded_key_reports_nothing(ctx: Context, agent: Agent) -> None:
    old = as_agent(ctx, agent, superseded=True)
    with pytest.raises(Forbidden):
        await current_states.report_state(old, {"version": 1}, transport="http")
    with pytest.raises(Forbidden):
        await current_states.report_metrics(old, {"cpu_usage": 1})


async def test_another_tenants_agent_is_not_found(ctx: Context, agent: Agent) -> None:
    other = await make_tenant(ctx.clock, ctx.ids)
    stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    with pytest.raises(NotFound):
        await current_states.get_current_state(stranger, agent.uuid)
    forged = as_agent(ctx, agent)
    forged = forged.acting_as(replace(forged.caller, tenant_id=other.id))
    with pytest.raises(NotFound):
        await current_states.report_state(forged, {"version": 1}, transport="http")
    assert await CurrentState.of(other.id).count() == 0
