from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.context import Context
from core.policy import Policy
from models.timeseries.store import PostgresReadingStore
from schema.readings import epoch_ms
from tests.factories import make_agent
from tests.schema.asking import ask, follow, record, refusal

SERIES = """
query($select: SeriesSelect!, $start: DateTime, $end: DateTime, $every: Duration,
      $aggregate: Aggregate, $max: Int) {
  series(select: $select, start: $start, end: $end, every: $every, aggregate: $aggregate,
         maxPoints: $max) {
    agentUuid device deviceName metric unit protocol timestamps values qualities
    points { time value }
  }
}
"""


async def test_series_travel_as_columns_that_keep_what_was_sent(ctx: Context) -> None:
    agent = await make_agent(ctx)
    start = ctx.clock.now().replace(microsecond=0) - timedelta(minutes=5)
    sent: list[object] = [1.5, True, "on", None]
    times = [start + timedelta(seconds=at) for at in range(4)]
    await record(ctx, agent, "mixed", list(zip(times, sent, strict=True)))
    (series,) = (await ask(ctx, SERIES, select={"agentUuids": [str(agent.uuid)]}))["series"]
    first = int(start.timestamp() * 1_000)
    assert series == {
        "agentUuid": str(agent.uuid),
        "device": "press",
        "deviceName": "press",
        "metric": "mixed",
        "unit": "°C",
        "protocol": "modbus",
        "timestamps": [first, first + 1_000, first + 2_000, first + 3_000],
        "values": sent,
        "qualities": [0, 0, 0, 0],
        "points": [
            {"time": f"{time:%Y-%m-%dT%H:%M:%S}.000Z", "value": value}
            for time, value in zip(times, sent, strict=True)
        ],
    }


async def test_times_finer_than_a_millisecond_get_a_fraction(ctx: Context) -> None:
    agent = await make_agent(ctx)
    time = ctx.clock.now().replace(microsecond=123_456) - timedelta(minutes=1)
    await record(ctx, agent, "temp", [(time, 1.0)])
    (series,) = (await ask(ctx, SERIES, select={}))["series"]
    assert series["timestamps"] == [pytest.approx(time.timestamp() * 1_000, abs=0.001)]
    assert isinstance(series["timestamps"][0], float)


def test_whole_milliseconds_stay_whole() -> None:
    import numpy as np

    assert epoch_ms(np.array([1_000, 2_000])).tolist() == [1, 2]
    assert epoch_ms(np.array([1_000, 2_500])).tolist() == [1.0, 2.5]


async def test_buckets_aggregate_and_selects_narrow(ctx: Context) -> None:
    agent = await make_agent(ctx)
    start = ctx.clock.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    values = [(start + timedelta(seconds=10 * at), float(at)) for at in range(12)]
    await record(ctx, agent, "temp", values)
    await record(ctx, agent, "rpm", values)
    (series,) = (
        await ask(
            ctx,
            SERIES,
            select={"metrics": ["temp"], "devices": ["press"]},
            start=start.isoformat(),
            every="1m",
            aggregate="max",
        )
    )["series"]
    first = int(start.timestamp() * 1_000)
    assert (series["timestamps"], series["values"]) == ([first, first + 60_000], [5.0, 11.0])


async def test_answers_at_the_ends_of_time(ctx: Context) -> None:
    agent = str((await make_agent(ctx)).uuid)
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
    assert (await ask(ctx, SERIES, select={}, end="0001-01-01T00:00:01Z"))["series"] == []
    assert (await refusal(ctx, SERIES, select={}, end=first))["extensions"]["field"] == "start"
    for end in (first, last):
        assert (await ask(ctx, HISTORY, u=agent, every="1h", end=end))["history"]["series"] == []
    error = await refusal(ctx, HISTORY, u=agent, every="P9999999D", limit=10_000)
    assert error["extensions"]["field"] == "every"


async def test_refuses_an_aggregate_without_a_width(ctx: Context) -> None:
    error = await refusal(ctx, SERIES, select={}, aggregate="max")
    assert error["extensions"]["field"] == "aggregate"


HISTORY = """
query($u: UUID!, $metrics: [String!], $start: DateTime, $end: DateTime, $every: Duration,
      $limit: Int = 1000) {
  history(agentUuid: $u, metrics: $metrics, start: $start, end: $end, every: $every,
          limit: $limit) {
    every
    series { metric times values qualities averages minima maxima counts }
  }
}
"""


async def test_history_walks_back_until_it_has_enough(ctx: Context) -> None:
    agent = await make_agent(ctx)
    now = ctx.clock.now().replace(microsecond=0)
    ages = [1, 90, 4_000, 100_000, 3_000_000]
    readings = [(now - timedelta(seconds=age), float(age)) for age in ages]
    await record(ctx, agent, "temp", readings)
    await record(ctx, agent, "rpm", [(now - timedelta(seconds=2), 2.0)])

    async def values(**variables: object) -> dict[str, list[float]]:
        history = (await ask(ctx, HISTORY, u=str(agent.uuid), **variables))["history"]
        return {each["metric"]: each["values"] for each in history["series"]}

    everything = {"temp": [1.0, 90.0, 4_000.0, 100_000.0, 3_000_000.0], "rpm": [2.0]}
    assert await values() == everything
    assert await values(limit=3) == {"temp": [1.0, 90.0], "rpm": [2.0]}
    assert await values(metrics=["rpm"]) == {"rpm": [2.0]}
    start = (now - timedelta(seconds=4_000)).isoformat()
    assert await values(start=start) == {"temp": [1.0, 90.0, 4_000.0], "rpm": [2.0]}
    end = (now - timedelta(seconds=90)).isoformat()
    assert await values(start=start, end=end) == {"temp": [90.0, 4_000.0]}
    assert await values(end=end, limit=1) == {"temp": [90.0]}


async def test_history_finds_readings_of_clocks_that_run_ahead(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await record(ctx, agent, "temp", [(ctx.clock.now() + timedelta(hours=2), 1.0)])
    (series,) = (await ask(ctx, HISTORY, u=str(agent.uuid)))["history"]["series"]
    assert (series["values"], series["qualities"]) == ([1.0], ["good"])
    assert series["averages"] is None


async def test_history_narrows_its_windows_where_readings_are_dense(ctx: Context) -> None:
    agent = await make_agent(ctx)
    now = ctx.clock.now().replace(microsecond=0)
    readings = [(now - timedelta(seconds=at / 10), float(at)) for at in range(1, 300)]
    await record(ctx, agent, "temp", readings)
    tight = replace(ctx, policy=Policy(series_points_max=100))
    store = PostgresReadingStore(tight.readings._pool, tight.clock, tight.policy)  # type: ignore[attr-defined]
    tight = replace(tight, readings=store)
    history = (await ask(tight, HISTORY, u=str(agent.uuid), limit=150))["history"]
    assert history["series"][0]["values"] == [float(at) for at in range(1, 151)]


async def test_history_of_buckets_is_newest_first_with_all_aggregates(ctx: Context) -> None:
    agent = await make_agent(ctx)
    start = ctx.clock.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    values = [(start + timedelta(seconds=20 * at), float(at)) for at in range(6)]
    await record(ctx, agent, "temp", values)
    history = (await ask(ctx, HISTORY, u=str(agent.uuid), every="1m"))["history"]
    assert history["every"] == "1m"
    (series,) = history["series"]
    assert series["times"][1] == f"{start:%Y-%m-%dT%H:%M:%S}.000000Z"
    assert series["values"] == series["averages"] == [4.0, 1.0]
    assert (series["minima"], series["maxima"]) == ([3.0, 0.0], [5.0, 2.0])
    assert series["counts"] == [3, 3]


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, "start"),
    ],
)
async def test_history_names_what_it_refuses(
    ctx: Context, variables: dict[str, object], field: str
) -> None:
    agent = await make_agent(ctx)
    error = await refusal(ctx, HISTORY, u=str(agent.uuid), **variables)
    assert error["extensions"]["field"] == field


READINGS = """
subscription($u: UUID, $metrics: [String!], $hz: Float, $after: String) {
  readings(agentUuid: $u, metrics: $metrics, maxHz: $hz, after: $after) {
    cursor agentUuid device deviceName metric unit timestamps values
  }
}
"""


async def _batches(results: Any, readings: int) -> list[dict[str, Any]]:
    """Return batches until so many readings came."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while sum(len(batch["values"]) for batch in found) < readings:
            result = await anext(results)
            assert not result.errors, result.errors
            found.append(result.data["readings"])
    return found


async def test_following_starts_with_the_newest_and_resumes_by_cursor(ctx: Context) -> None:
    agent = await make_agent(ctx)
    now = ctx.clock.now().replace(microsecond=0) - timedelta(seconds=60)
    await record(ctx, agent, "temp", [(now, 1.0), (now + timedelta(seconds=1), 2.0)])
    async with follow(ctx, READINGS, u=str(agent.uuid)) as results:
        (first,) = await _batches(results, 1)
        assert first["values"] == [2.0]
        assert (first["metric"], first["device"], first["unit"]) == ("temp", "press", "°C")
        await record(ctx, agent, "temp", [(now + timedelta(seconds=2), 3.0)])
        (second,) = await _batches(results, 1)
        assert second["values"] == [3.0]
    await record(ctx, agent, "temp", [(now + timedelta(seconds=3), 4.0)])
    async with follow(ctx, READINGS, u=str(agent.uuid), after=first["cursor"]) as results:
        resumed = await _batches(results, 2)
    assert [value for batch in resumed for value in batch["values"]] == [3.0, 4.0]


async def test_a_slow_listener_gets_fewer_batches_with_every_reading(ctx: Context) -> None:
    agent = await make_agent(ctx)
    now = ctx.clock.now().replace(microsecond=0) - timedelta(seconds=600)
    await record(ctx, agent, "temp", [(now, 0.0)])
    async with follow(ctx, READINGS, u=str(agent.uuid), hz=2) as results:
        (first,) = await _batches(results, 1)
        for at in range(1, 21):
            await record(ctx, agent, "temp", [(now + timedelta(seconds=at), float(at))])
        batches = await _batches(results, 20)
    assert len(batches) <= 3
    values = [value for batch in batches for value in batch["values"]]
    assert values == [float(at) for at in range(1, 21)]
    async with follow(ctx, READINGS, u=str(agent.uuid), after=first["cursor"]) as results:
        again = await _batches(results, 20)
    assert [value for batch in again for value in batch["values"]] == values


@pytest.mark.parametrize("hz", [0.0, 0.01, 101.0, -1.0])
async def test_refuses_rates_out_of_bounds(ctx: Context, hz: float) -> None:
    async with follow(ctx, READINGS, hz=hz) as results:
        result = await anext(results)
    assert result.errors
    assert result.errors[0].formatted["extensions"]["field"] == "maxHz"


async def test_refuses_a_cursor_that_is_none(ctx: Context) -> None:
    async with follow(ctx, READINGS, after="nonsense") as results:
        result = await anext(results)
    assert result.errors
    assert result.errors[0].formatted["extensions"]["code"] == "INVALID_INPUT"
