"""Readings: record them, ask for the newest, for a span, and for what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import numpy as np

from core import metrics
from core.access import Permission, allow
from core.clock import micros
from core.context import Context
from core.downsample import lttb
from core.errors import InvalidInput, NotFound
from core.events import JOURNAL, JournalGrew
from core.live import LiveFilter, ReadingFeed
from core.reading_store import (
    AgentTelemetry,
    Aggregate,
    AppendResult,
    SeriesFilter,
    TimeRange,
)
from core.readings import LatestReading, SeriesColumns
from models.agents import Agent
from models.dead_letters import DeadLetter
from models.unit_of_work import database_errors
from resolvers.dead_letters import record_dead_letters

SPAN_DEFAULT = timedelta(hours=1)
BEGINNING = datetime.min.replace(tzinfo=UTC)
"""Nothing can be said to be earlier."""

POINTS_MAX_LIMIT = 20_000
_NAMES_MAX = 500


@dataclass(frozen=True, slots=True)
class SeriesSelect:
    """Which series to read; None means all of the tenant's.

    `devices` matches the device's identity or its name.
    """

    agent_uuids: Sequence[UUID] | None = None
    devices: Sequence[str] | None = None
    metrics: Sequence[str] | None = None


@allow(Permission.SYSTEM)
async def record_readings(ctx: Context, batch: Sequence[AgentTelemetry]) -> AppendResult:
    """Store decoded messages of any tenants' agents, then tell listeners.

    Once this returns, the readings are committed together with their journal entry. A replay
    stores nothing and pokes nobody. Readings whose clock lies outside the policy's window go to
    the dead letters. Raises Unavailable when the database is away: call again with the same batch.
    """
    kept, odd = _by_clock(ctx, batch)
    if odd:
        await record_dead_letters(ctx, odd)
    result = await ctx.readings.append(kept)
    metrics.READINGS.labels("stored").inc(result.inserted)
    metrics.READINGS.labels("duplicate").inc(result.duplicates)
    metrics.READINGS.labels("dead").inc(len(odd))
    if result.inserted:
        await ctx.bus.publish(JOURNAL, JournalGrew())
    return result


@allow(Permission.DATA_READ)
async def latest_readings(
    ctx: Context, agent_uuid: UUID, metrics: Sequence[str] | None = None
) -> list[LatestReading]:
    """Return the newest reading of each of an agent's series, by device and metric."""
    agent_id = await _agent_id(ctx, agent_uuid)
    return await ctx.readings.latest(ctx.tenant_id, [agent_id], _names("metrics", metrics))


@allow(Permission.DATA_READ)
async def latest_of_agents(
    ctx: Context, agent_ids: Sequence[int], metrics: Sequence[str] | None = None
) -> dict[int, list[LatestReading]]:
    """Return the same for many agents in one query, by agent id."""
    found: dict[int, list[LatestReading]] = {agent_id: [] for agent_id in agent_ids}
    for latest in await ctx.readings.latest(ctx.tenant_id, agent_ids, _names("metrics", metrics)):
        found[latest.info.agent_id].append(latest)
    return found


@allow(Permission.DATA_READ)
async def read_series(
    ctx: Context,
    select: SeriesSelect,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    every: timedelta | None = None,
    aggregate: Aggregate | None = None,
    points_max: int | None = None,
) -> list[SeriesColumns]:
    """Return readings of the selected series, raw or one value per bucket of `every`.

    `end` defaults to now, `start` to an hour before `end`; start inclusive, end exclusive.
    `aggregate` defaults to avg and needs `every`. With `points_max` each longer series is thinned
    to that many points that keep its shape (LTTB; numeric readings only, others are kept by even
    stride). Raises InvalidInput for bad spans and LimitReached when the answer would be too big.
    """
    span = _span(ctx, start, end)
    if points_max is not None and not 2 <= points_max <= POINTS_MAX_LIMIT:
        raise InvalidInput("maxPoints", f"must be between 2 and {POINTS_MAX_LIMIT}")
    wanted = SeriesFilter(
        agent_ids=await _agent_ids(ctx, select.agent_uuids),
        devices=_names("select.devices", select.devices),
        metrics=_names("select.metrics", select.metrics),
    )
    limit = ctx.policy.series_points_max
    if every is None:
        if aggregate is not None:
            raise InvalidInput("aggregate", "needs `every`")
        found = await ctx.readings.series(ctx.tenant_id, wanted, span, points_max=limit)
    else:
        found = await ctx.readings.buckets(
            ctx.tenant_id,
            wanted,
            span,
            every=_width(every),
            aggregate=aggregate or Aggregate.AVG,
            points_max=limit,
        )
    if points_max is None:
        return found
    return [_thinned(columns, points_max) for columns in found]


@allow(Permission.DATA_READ)
async def follow_readings(
    ctx: Context,
    agent_uuid: UUID | None = None,
    metrics: Sequence[str] | None = None,
    after: str | None = None,
) -> ReadingFeed:
    """Return the feed of readings as they are committed; see core/live.py.

    Raises NotFound, and InvalidInput for a cursor that is none or older than the journal.
    """
    agent_id = None if agent_uuid is None else await _agent_id(ctx, agent_uuid)
    names = _names("metrics", metrics)
    wanted = LiveFilter(agent_id, None if names is None else frozenset(names))
    position = await ctx.live.find(after) if after else None
    return ReadingFeed(ctx.live, ctx.tenant_id, wanted, position)


def _by_clock(
    ctx: Context, batch: Sequence[AgentTelemetry]
) -> tuple[list[AgentTelemetry], list[DeadLetter]]:
    """Part a batch into what may be stored and readings of clocks that are far off."""
    now = ctx.clock.now()
    low = micros(now - timedelta(days=ctx.policy.clock_past_days_max))
    high = micros(now + timedelta(hours=ctx.policy.clock_future_hours_max))
    kept: list[AgentTelemetry] = []
    odd: list[DeadLetter] = []
    for item in batch:
        times = item.telemetry.times_us
        within = (times >= low) & (times <= high)
        if within.all():
            kept.append(item)
            continue
        kept.append(replace(item, telemetry=item.telemetry.take(np.flatnonzero(within))))
        odd += [_odd(item, at, now) for at in np.flatnonzero(~within).tolist()]
    return kept, odd


def _odd(item: AgentTelemetry, at: int, now: datetime) -> DeadLetter:
    telemetry = item.telemetry
    part = {
        "series": telemetry.specs[at]._asdict(),
        "time_us": int(telemetry.times_us[at]),
        "value": telemetry.texts.get(at, float(telemetry.values[at])),
        "kind": int(telemetry.kinds[at]),
        "quality": int(telemetry.qualities[at]),
    }
    return DeadLetter(
        item.tenant_id,
        item.agent_id,
        "endpoints",
        "the reading's time is outside the window that clocks may be off",
        msgspec.json.encode(part),
        now,
    )


def _span(ctx: Context, start: datetime | None, end: datetime | None) -> TimeRange:
    for field, moment in (("start", start), ("end", end)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidInput(field, "needs a time zone, for instance a trailing Z")
    last = end or ctx.clock.now()
    first = start or last - min(SPAN_DEFAULT, last - BEGINNING)
    if first >= last:
        raise InvalidInput("start", "must be before end")
    return TimeRange(first, last)


def _width(every: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= every <= timedelta(days=366):
        raise InvalidInput("every", "must be between 1 second and 366 days")
    return every


def _names(field: str, names: Sequence[str] | None) -> list[str] | None:
    if names is None:
        return None
    if len(names) > _NAMES_MAX:
        raise InvalidInput(field, f"names at most {_NAMES_MAX}", limit=_NAMES_MAX)
    return [name for name in names if "\x00" not in name]


async def _agent_id(ctx: Context, agent_uuid: UUID) -> int:
    with database_errors():
        row = await Agent.of(ctx.tenant_id, uuid=agent_uuid).only("id").first()
    if row is None:
        raise NotFound("agent", agent_uuid)
    return row.id


async def _agent_ids(ctx: Context, uuids: Sequence[UUID] | None) -> list[int] | None:
    if uuids is None:
        return None
    if len(uuids) > _NAMES_MAX:
        raise InvalidInput("select.agentUuids", f"names at most {_NAMES_MAX}", limit=_NAMES_MAX)
    with database_errors():
        rows = await Agent.of(ctx.tenant_id, uuid__in=list(uuids)).values_list("id", "uuid")
    missing = set(uuids) - {row[1] for row in rows}
    if missing:
        raise NotFound("agent", min(missing))
    return [int(row[0]) for row in rows]


def _thinned(columns: SeriesColumns, points: int) -> SeriesColumns:
    if len(columns.times_us) <= points:
        return columns
    numeric = all(isinstance(value, float) for value in columns.values)
    if numeric:
        keep = lttb(columns.times_us, np.array(columns.values, dtype=np.float64), points)
    else:
        keep = np.unique(np.linspace(0, len(columns.times_us) - 1, points).astype(np.intp))
    return replace(
        columns,
        times_us=columns.times_us[keep],
        values=[columns.values[at] for at in keep.tolist()],
        qualities=columns.qualities[keep],
    )
