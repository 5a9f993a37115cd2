"""History of the gateways' own figures: one row per agent and ten seconds, in daily partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.paging import OpenSlice, decode_cursor, encode_cursor
from models.agents import Agent
from models.connection import fetch, json_text

ROW_EVERY: Final = timedelta(seconds=10)
"""However often an agent reports, there is one row for each such interval: the first report's."""

FIGURE_MAX: Final = 1e15
"""Larger ones are no figures of a gateway, and a mean of them could overflow."""

PROCESSES_CHARS_MAX: Final = 16_384

_FIGURES: Final = (
    *("cpu_usage", "cpu_temp", "memory_usage", "memory_total"),
    *("storage_usage", "storage_total"),
)
_COLUMNS: Final = ", ".join((*_FIGURES, "uptime_seconds", "top_processes"))

# Made of the constants above; every value is a parameter.
_INSERT: Final = (
    f"insert into agent_metric (tenant_id, agent_id, at, {_COLUMNS})"  # noqa: S608
    " values ($1, $2, date_bin($3, $4::timestamptz, 'epoch'), $5, $6, $7, $8, $9, $10, $11, $12::jsonb)"
    " on conflict do nothing"
)
_MEANS: Final = (
    "select date_bin($5, at, 'epoch') as recorded_at, avg(cpu_usage) as cpu_usage,"
    " avg(cpu_temp) as cpu_temp, avg(memory_usage) as memory_usage,"
    " avg(storage_usage) as storage_usage from agent_metric"
    " where tenant_id = $1 and agent_id = $2 and at >= $3 and at < $4 group by 1 order by 1"
)


@dataclass(frozen=True, slots=True)
class MetricsRecord:
    """The gateway's figures as it reported them; the time is cut to ten seconds."""

    agent_uuid: UUID
    recorded_at: datetime
    cpu_usage: float | None
    cpu_temp: float | None
    memory_usage: float | None
    memory_total: float | None
    storage_usage: float | None
    storage_total: float | None
    uptime_seconds: float | None
    top_processes: list[object] | None


@dataclass(frozen=True, slots=True)
class MetricsPoint:
    """Means of the figures from `recorded_at` on, for the width of one bucket."""

    recorded_at: datetime
    cpu_usage: float | None
    cpu_temp: float | None
    memory_usage: float | None
    storage_usage: float | None


async def append_agent_metrics(
    tenant_id: int, agent_id: int, figures: Mapping[str, float], processes: object, now: datetime
) -> None:
    """Keep what a live report tells of its gateway, unless these ten seconds have a row.

    `figures` are as in StateReport.metrics, `processes` is whatever it said of `top_processes`.
    """
    await fetch(
        _INSERT,
        tenant_id,
        agent_id,
        ROW_EVERY,
        now,
        *(_figure(figures.get(name)) for name in (*_FIGURES, "uptime")),
        _processes(processes),
    )


async def page_of_metrics(
    agent: Agent,
    since: datetime | None,
    until: datetime | None,
    first: int,
    after: str | None,
) -> OpenSlice[MetricsRecord]:
    """Return rows from `since` on and before `until`, newest first."""
    if after is not None:
        behind = _behind(after)
        until = behind if until is None else min(until, behind)
    rows = await fetch(
        f"select at as recorded_at, {_COLUMNS} from agent_metric"  # noqa: S608  (our names)
        " where tenant_id = $1 and agent_id = $2 and at >= coalesce($3::timestamptz, '-infinity')"
        " and at < coalesce($4::timestamptz, 'infinity') order by at desc limit $5",
        *(agent.tenant_id, agent.id, since, until, first + 1),
    )
    items = [_record(agent, row) for row in rows[:first]]
    cursors = [encode_cursor(str(micros(item.recorded_at))) for item in items]
    return OpenSlice(items, cursors, len(rows) > first)


async def means_of_metrics(
    agent: Agent, since: datetime, until: datetime, width: timedelta
) -> list[MetricsPoint]:
    """Return means by buckets of `width`, counted from 1970 on, oldest first; empty ones lack."""
    rows = await fetch(_MEANS, agent.tenant_id, agent.id, since, until, width)
    return [MetricsPoint(**row) for row in rows]


def _record(agent: Agent, row: dict[str, Any]) -> MetricsRecord:
    processes = row.pop("top_processes")
    return MetricsRecord(
        agent_uuid=agent.uuid,
        top_processes=None if processes is None else orjson.loads(processes),
        **row,
    )


def _behind(after: str) -> datetime:
    try:
        return moment_of(int(decode_cursor(after)))
    except (ValueError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None


def _figure(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= FIGURE_MAX else None


def _processes(value: object) -> str | None:
    if not isinstance(value, list):
        return None
    try:
        text = json_text(value, "top_processes")
    except InvalidInput:
        return None
    return text if len(text) <= PROCESSES_CHARS_MAX else None
