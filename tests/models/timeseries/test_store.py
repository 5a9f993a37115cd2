"""Readings go in once, first write wins, and come back as what they were."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
import pytest

from core.context import Context
from core.errors import LimitReached
from core.reading_store import AgentTelemetry, Aggregate, SeriesFilter, TimeRange
from core.readings import Kind, Quality, SeriesSpec, Telemetry
from models.agents import Agent
from tests.factories import make_agent

T0 = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
T0_US = int(T0.timestamp()) * 1_000_000
SPAN = TimeRange(T0 - timedelta(days=1), T0 + timedelta(days=1))


def telemetry(*readings: tuple[str, int, Any]) -> Telemetry:
    """(metric, offset in µs, value) each."""
    kinds, values, texts = [], [], {}
    for at, (_metric, _offset, value) in enumerate(readings):
        if value is None:
            kinds.append(Kind.NULL)
        elif isinstance(value, bool):
            kinds.append(Kind.BOOLEAN)
        elif isinstance(value, str):
            kinds.append(Kind.TEXT)
            texts[at] = value
        else:
            kinds.append(Kind.FLOAT)
        values.append(float(value) if isinstance(value, int | float) else math.nan)
    return Telemetry(
        specs=[SeriesSpec("d1", r[0], "°C", "modbus", "press_plc", "") for r in readings],
        times_us=np.array([T0_US + r[1] for r in readings], dtype=np.int64),
        values=np.array(values),
        kinds=np.array(kinds, dtype=np.int8),
        qualities=np.zeros(len(readings), dtype=np.int8),
        texts=texts,
    )


def of(agent: Agent, *readings: tuple[str, int, Any]) -> AgentTelemetry:
    return AgentTelemetry(agent.tenant_id, agent.id, agent.uuid, telemetry(*readings))


async def test_every_kind_of_value_comes_back_as_what_it_was(ctx: Context) -> None:
    agent = await make_agent(ctx)
    sent: list[Any] = [1.5, True, False, "running", None, math.nan, math.inf, -math.inf, 0.0, "ü"]
    await ctx.readings.append([of(agent, *(("m", i, v) for i, v in enumerate(sent)))])
    (found,) = await ctx.readings.series(
        ctx.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=100
    )
    assert [repr(v) for v in found.values] == [repr(v) for v in sent]
    assert found.times_us.tolist() == [T0_US + i for i in range(len(sent))]
    assert found.info.unit == "°C"
    (latest,) = await ctx.readings.latest(ctx.tenant_id, [agent.id])
    assert latest.value == "ü"


async def test_a_replay_changes_nothing(ctx: Context) -> None:
    agent = await make_agent(ctx)
    first = await ctx.readings.append([of(agent, ("a", 0, 1.0), ("a", 1, 2.0), ("s", 1, "on"))])
    assert (first.inserted, first.duplicates) == (3, 0)
    again = await ctx.readings.append(
        [of(agent, ("a", 0, 9.0), ("a", 1, 9.0), ("s", 1, "off"), ("a", 2, 3.0))]
    )
    assert (again.inserted, again.duplicates) == (1, 3)
    found = await ctx.readings.series(ctx.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=100)
    assert [f.values for f in found] == [[1.0, 2.0, 3.0], ["on"]]


async def test_the_first_of_two_equal_times_in_one_batch_wins(ctx: Context) -> None:
    agent = await make_agent(ctx)
    result = await ctx.readings.append(
        [of(agent, ("a", 5, 1.0), ("b", 5, 7.0), ("a", 5, 2.0)), of(agent, ("b", 5, 8.0))]
    )
    assert (result.inserted, result.duplicates) == (2, 2)
    found = await ctx.readings.series(ctx.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=100)
    assert [f.values for f in found] == [[1.0], [7.0]]


async def test_late_readings_leave_the_latest_alone(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await ctx.readings.append([of(agent, ("a", 10, 1.0))])
    await ctx.readings.append([of(agent, ("a", 5, 2.0))])
    (latest,) = await ctx.readings.latest(ctx.tenant_id, [agent.id])
    assert (latest.value, latest.quality) == (1.0, Quality.GOOD)


async def test_two_devices_may_share_a_metric_and_a_time(ctx: Context) -> None:
    agent = await make_agent(ctx)
    one, two = telemetry(("a", 0, 1.0)), telemetry(("a", 0, 2.0))
    two.specs = [SeriesSpec("d2", "a", "bar", "modbus", "pump_plc", "")]
    await ctx.readings.append(
        [AgentTelemetry(agent.tenant_id, agent.id, agent.uuid, t) for t in (one, two)]
    )
    found = await ctx.readings.latest(ctx.tenant_id, [agent.id])
    assert {(f.info.device_name, f.info.unit, f.value) for f in found} == {
        ("press_plc", "°C", 1.0),
        ("pump_plc", "bar", 2.0),
    }


async def test_readings_across_midnight_land_in_two_partitions(ctx: Context) -> None:
    agent = await make_agent(ctx)
    half_day = 12 * 3600 * 1_000_000
    await ctx.readings.append([of(agent, ("a", half_day - 1, 1.0), ("a", half_day, 2.0))])
    (found,) = await ctx.readings.series(
        ctx.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=9
    )
    assert found.values == [1.0, 2.0]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        (Aggregate.AVG, [2.0, 10.0]),
        (Aggregate.MIN, [1.0, 10.0]),
        (Aggregate.MAX, [3.0, 10.0]),
        (Aggregate.SUM, [6.0, 10.0]),
        (Aggregate.COUNT, [3.0, 1.0]),
        (Aggregate.FIRST, [3.0, 10.0]),
        (Aggregate.LAST, [2.0, 10.0]),
    ],
)
async def test_buckets(ctx: Context, aggregate: Aggregate, expected: list[float]) -> None:
    agent = await make_agent(ctx)
    second = 1_000_000
    await ctx.readings.append(
        [
            of(
                agent,
                ("a", 0, 3.0),
                ("a", second, 1.0),
                ("a", 59 * second, 2.0),
                ("a", 60 * second, 10.0),
                ("a", 61 * second, None),
                ("a", 62 * second, "text"),
                ("a", 63 * second, math.nan),
            )
        ]
    )
    (found,) = await ctx.readings.buckets(
        ctx.tenant_id,
        SeriesFilter([agent.id]),
        SPAN,
        every=timedelta(minutes=1),
        aggregate=aggregate,
        points_max=10,
    )
    assert found.values == expected
    assert found.times_us.tolist() == [T0_US, T0_US + 60 * second]


async def test_more_points_than_allowed_is_an_error_that_names_the_limit(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await ctx.readings.append([of(agent, ("a", 0, 1.0), ("a", 1, 1.0))])
    with pytest.raises(LimitReached) as error:
        await ctx.readings.series(ctx.tenant_id, SeriesFilter([agent.id]), SPAN, points_max=1)
    assert error.value.facts == {"limit": 1}


async def test_another_tenant_sees_nothing(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await ctx.readings.append([of(agent, ("a", 0, 1.0))])
    stranger = ctx.tenant_id + 1_000_000
    assert await ctx.readings.latest(stranger, [agent.id]) == []
    assert await ctx.readings.series(stranger, SeriesFilter([agent.id]), SPAN, points_max=9) == []


async def test_journal_and_readings_commit_together(ctx: Context, pool: asyncpg.Pool) -> None:
    agent = await make_agent(ctx)
    await ctx.readings.append([of(agent, ("a", 0, 1.0), ("b", 0, 1.0))])
    await ctx.readings.append([of(agent, ("a", 0, 1.0))])  # a replay writes no journal row
    rows = await pool.fetch(
        "select h.xmin::text::bigint % (1::bigint << 32) as hot, j.xid % (1::bigint << 32) as xid,"
        " j.reading_count"
        " from journal j join reading_hot h on h.agent_id = j.agent_id where j.agent_id = $1",
        agent.id,
    )
    assert len(rows) == 2
    assert all(row["hot"] == row["xid"] and row["reading_count"] == 2 for row in rows)
