"""Readings out of the database, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import numpy as np

from core.clock import micros
from core.errors import LimitReached
from core.reading_store import Aggregate, TimeRange
from core.readings import Kind, LatestReading, Quality, SeriesColumns, SeriesInfo
from models.timeseries import copy
from models.timeseries.series import info_of
from models.timeseries.sql import load


async def latest(
    pool: asyncpg.Pool,
    tenant_id: int,
    agent_ids: Sequence[int] | None,
    metrics: Sequence[str] | None,
) -> list[LatestReading]:
    """Return the newest reading of each series."""
    async with pool.acquire() as conn:
        return await latest_on(conn, tenant_id, agent_ids, metrics)


async def latest_on(
    conn: Any, tenant_id: int, agent_ids: Sequence[int] | None, metrics: Sequence[str] | None
) -> list[LatestReading]:
    """Return the same on a connection the caller holds."""
    rows = await conn.fetch(
        load("latest"),
        tenant_id,
        None if agent_ids is None else list(agent_ids),
        None if metrics is None else list(metrics),
    )
    kinds = np.array([row["kind"] for row in rows], dtype=np.int8)
    values = np.array([row["value"] for row in rows], dtype=np.float64)
    texts = {at: row["value_text"] for at, row in enumerate(rows) if row["value_text"] is not None}
    return [
        LatestReading(info_of(row), row["ts"], value, Quality(row["quality"]))
        for row, value in zip(rows, copy.to_python(values, kinds, texts), strict=True)
    ]


async def raw(
    pool: asyncpg.Pool, tenant_id: int, found: Sequence[SeriesInfo], span: TimeRange, limit: int
) -> list[SeriesColumns]:
    """Return the readings of `found` in `span`; raises LimitReached beyond `limit`."""
    keys = _keys(found)
    async with pool.acquire() as conn:
        body = await copy.fetch_binary(
            conn, load("series_raw"), tenant_id, *keys, span.start, span.end, limit + 1
        )
        columns = copy.decode(body)
        if len(columns.series_ids) > limit:
            raise _too_many(limit)
        texts: dict[tuple[int, int], str] = {}
        if (columns.kinds == Kind.TEXT).any():
            rows = await conn.fetch(load("series_texts"), tenant_id, *keys, span.start, span.end)
            texts = {(row["series_id"], micros(row["ts"])): row["value"] for row in rows}
    return _in_order(found, _split(columns, texts, {info.id: info for info in found}))


def _split(
    columns: copy.ReadColumns, texts: dict[tuple[int, int], str], infos: dict[int, SeriesInfo]
) -> list[SeriesColumns]:
    result = []
    edges = np.flatnonzero(np.diff(columns.series_ids)) + 1
    for index in np.split(np.arange(len(columns.series_ids)), edges):
        if not len(index):
            continue
        part = slice(int(index[0]), int(index[-1]) + 1)
        series_id = int(columns.series_ids[part.start])
        times = columns.times_us[part]
        kinds = columns.kinds[part]
        mine = {
            at: texts.get((series_id, int(times[at])), "")
            for at in np.flatnonzero(kinds == Kind.TEXT).tolist()
        }
        values = copy.to_python(columns.values[part], kinds, mine)
        result.append(SeriesColumns(infos[series_id], times, values, columns.qualities[part]))
    return result


async def buckets(
    pool: asyncpg.Pool,
    tenant_id: int,
    found: Sequence[SeriesInfo],
    span: TimeRange,
    every: timedelta,
    aggregate: Aggregate,
    limit: int,
) -> list[SeriesColumns]:
    """Return one value per non-empty bucket; raises LimitReached beyond `limit` buckets."""
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            load("series_buckets"), tenant_id, *_keys(found), span.start, span.end, every, limit + 1
        )
    if len(rows) > limit:
        raise _too_many(limit)
    infos = {info.id: info for info in found}
    result: list[SeriesColumns] = []
    start = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at]["series_id"] != rows[start]["series_id"]:
            part = rows[start:at]
            result.append(
                SeriesColumns(
                    infos[part[0]["series_id"]],
                    np.array([micros(row["bucket"]) for row in part], dtype=np.int64),
                    [row[aggregate.value] for row in part],
                    np.array([row["quality"] for row in part], dtype=np.int8),
                )
            )
            start = at
    return _in_order(found, result)


def _keys(found: Sequence[SeriesInfo]) -> tuple[list[int], list[int]]:
    return sorted({info.agent_id for info in found}), [info.id for info in found]


def _in_order(found: Sequence[SeriesInfo], result: list[SeriesColumns]) -> list[SeriesColumns]:
    by_id = {columns.info.id: columns for columns in result}
    return [by_id[info.id] for info in found if info.id in by_id]


def _too_many(limit: int) -> LimitReached:
    return LimitReached(
        f"the answer would hold more than {limit} points; narrow the span or the selection,"
        " or ask for buckets with `every`",
        limit=limit,
    )
