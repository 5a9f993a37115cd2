from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from core.callers import Caller, Role
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound
from models.agents import Agent
from models.connection import fetch
from resolvers import current_states
from resolvers.agent_metrics import (
    PERIODS,
    MetricsRecord,
    list_agent_metrics,
    summarise_agent_metrics,
)
from tests.doubles import ManualClock
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIGURES: dict[str, Any] = {
    "cpu_usage": 23,
    "temperature": 47.5,
    "memory_usage": 412,
    "memory_total": 3906,
    "storage_usage": 8120,
    "storage_total": 29600,
    "uptime": 3600,
    "top_processes": [{"pid": 7, "name": "made-up", "cpu": 3.5}],
}


class Gateway:
    """Reports as one agent at moments of a clock that it owns."""

    def __init__(self, ctx: Context, agent: Agent) -> None:
        self.clock = ManualClock(NOON)
        self.ctx = replace(ctx, clock=self.clock)
        self.agent = agent
        self.me = as_agent(self.ctx, agent)

    async def report(self, **members: Any) -> None:
        body = {str(self.agent.uuid): members}
        await current_states.report_state(self.me, body, transport="http")

    async def report_each(self, seconds: float, values: list[float]) -> None:
        for value in values:
            await self.report(version=1, cpu_usage=value)
            self.clock.advance(seconds=seconds)

    async def records(self, **changes: Any) -> list[MetricsRecord]:
        changes = {"first": 1_000} | changes
        return (await list_agent_metrics(self.ctx, self.agent.uuid, **changes)).items


@pytest.fixture
async def gateway(ctx: Context) -> Gateway:
    return Gateway(ctx, await make_agent(ctx))


async def test_a_live_report_leaves_a_record(gateway: Gateway) -> None:
    gateway.clock.advance(seconds=13)
    await gateway.report(version=1, **FIGURES)
    assert await gateway.records() == [
        MetricsRecord(
            agent_uuid=gateway.agent.uuid,
            recorded_at=NOON + timedelta(seconds=10),
            cpu_usage=23,
            cpu_temp=47.5,
            memory_usage=412,
            memory_total=3906,
            storage_usage=8120,
            storage_total=29600,
            uptime_seconds=3600,
            top_processes=FIGURES["top_processes"],
        )
    ]


async def test_so_does_a_message_of_figures_alone(gateway: Gateway) -> None:
    await current_states.report_metrics(gateway.me, {"cpu_usage": 5})
    (found,) = await gateway.records()
    assert (found.cpu_usage, found.memory_usage, found.top_processes) == (5, None, None)


async def test_a_report_without_figures_and_a_replay_leave_none(gateway: Gateway) -> None:
    await gateway.report(version=1, apps={}, top_processes=[])
    await gateway.report(cpu_usage=5)  # without a version it waited in a queue
    assert await gateway.records() == []


async def test_a_chatty_agent_leaves_one_record_for_ten_seconds(gateway: Gateway) -> None:
    await gateway.report_each(2, list(range(13)))
    found = [(each.recorded_at - NOON, each.cpu_usage) for each in await gateway.records()]
    assert found == [(timedelta(seconds=at), at / 2) for at in (20, 10, 0)]


async def test_what_cannot_be_a_figure_is_left_out(gateway: Gateway) -> None:
    long = [{"name": "x" * 200}] * 100
    await gateway.report(version=1, cpu_usage=1.7e308, memory_usage=4, top_processes=long)
    (found,) = await gateway.records()
    assert (found.cpu_usage, found.memory_usage, found.top_processes) == (None, 4, None)


async def test_a_report_that_fails_leaves_no_record(gateway: Gateway) -> None:
    await fetch("delete from agent where id = $1", gateway.agent.id)
    with pytest.raises(NotFound):
        await gateway.report(version=1, **FIGURES)
    kept = "select 1 from agent_metric where tenant_id = $1 and agent_id = $2"
    assert await fetch(kept, gateway.agent.tenant_id, gateway.agent.id) == []


async def test_keeping_figures_costs_one_statement(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.report(version=1, **FIGURES)  # opens the day
    sent: list[str] = []
    inner = asyncpg.Connection._do_execute

    async def noted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(str(query))
        return await inner(self, query, *args, **kwargs)

    monkeypatch.setattr(asyncpg.Connection, "_do_execute", noted)
    await gateway.report(version=1, apps={})
    without = len(sent)
    await gateway.report(version=1, apps={}, cpu_usage=3)
    assert len(sent) - without == without + 1


async def test_pages_hold_each_record_once_newest_first(gateway: Gateway) -> None:
    await gateway.report_each(30, list(range(7)))
    found: list[float | None] = []
    after = None
    for _ in range(4):
        page = await list_agent_metrics(gateway.ctx, gateway.agent.uuid, 2, after)
        found += [each.cpu_usage for each in page.items]
        after = page.cursors[-1]
    assert found == [6, 5, 4, 3, 2, 1, 0]
    assert not page.has_next


async def test_a_time_bounds_the_records(gateway: Gateway) -> None:
    await gateway.report_each(60, list(range(5)))
    minute = timedelta(minutes=1)
    found = await gateway.records(since=NOON + minute, until=NOON + 3 * minute)
    assert [each.cpu_usage for each in found] == [2, 1]


async def test_means_are_of_buckets_that_keep_their_times(gateway: Gateway) -> None:
    await gateway.report_each(10, [1, 2, 3, 10, 20, 30, 7])
    points = await summarise_agent_metrics(gateway.ctx, gateway.agent.uuid, "30min")
    found = [(each.recorded_at - NOON, each.cpu_usage, each.memory_usage) for each in points]
    assert found == [
        (timedelta(seconds=at), mean, None) for at, mean in ((0, 2), (30, 20), (60, 7))
    ]


@pytest.mark.parametrize("period", PERIODS)
async def test_a_period_has_sixty_points_at_most_and_ends_now(
    gateway: Gateway, period: str
) -> None:
    width = PERIODS[period] / 60
    await _open_days(gateway, NOON, NOON - PERIODS[period])
    await fetch(
        "insert into agent_metric (tenant_id, agent_id, at, cpu_usage)"
        " select $1, $2, at, 1 from generate_series($3::timestamptz, $4, $5::interval) at",
        *(gateway.agent.tenant_id, gateway.agent.id),
        *(NOON - PERIODS[period], NOON, width / 3),
    )
    for later in (0.0, width.total_seconds() / 2):
        gateway.clock.advance(seconds=later)
        points = await summarise_agent_metrics(gateway.ctx, gateway.agent.uuid, period)
        times = [each.recorded_at for each in points]
        assert times == [NOON - width * at for at in reversed(range(60))]


async def _open_days(gateway: Gateway, *moments: datetime) -> None:
    """Make the days' partitions, as the agent's reports of those days did."""
    for moment in moments:
        reporting = replace(gateway.me, clock=ManualClock(moment))
        await current_states.report_metrics(reporting, {"cpu_usage": 1})
    await fetch("delete from agent_metric where tenant_id = $1", gateway.agent.tenant_id)


async def test_says_what_is_out_of_bounds(gateway: Gateway) -> None:
    uuid = gateway.agent.uuid
    for first in (0, 1_001):
        with pytest.raises(InvalidInput, match="first: must be between 1 and 1000"):
            await list_agent_metrics(gateway.ctx, uuid, first)
    with pytest.raises(InvalidInput, match="from: must be before"):
        await list_agent_metrics(gateway.ctx, uuid, 1, since=NOON, until=NOON)
    for cursor in ("x", "MQ%", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        with pytest.raises(InvalidInput, match="after: is not a cursor"):
            await list_agent_metrics(gateway.ctx, uuid, 1, cursor)
    with pytest.raises(InvalidInput, match="period: must be one of 30min, 6h, 12h, 24h"):
        await summarise_agent_metrics(gateway.ctx, uuid, "1h")


async def test_another_tenants_agent_is_not_found(gateway: Gateway, ctx: Context) -> None:
    await gateway.report(version=1, **FIGURES)
    tenant = await make_tenant(ctx.clock, ctx.ids)
    other = replace(gateway.ctx, caller=Caller(Role.OWNER, tenant.id, user_id=ctx.ids.uuid()))
    for asked in (
        list_agent_metrics(other, gateway.agent.uuid, 10),
        summarise_agent_metrics(other, gateway.agent.uuid, "6h"),
        list_agent_metrics(gateway.ctx, ctx.ids.uuid(), 10),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_is_not_for_agents(gateway: Gateway) -> None:
    with pytest.raises(Forbidden):
        await list_agent_metrics(gateway.me, gateway.agent.uuid, 10)
