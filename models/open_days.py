"""Days of partitioned tables, made once before rows are written to them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from weakref import WeakKeyDictionary

from tortoise import connections

from models.connection import rows_connection
from models.timeseries.partitions import ensure_partitions

_open_days: WeakKeyDictionary[object, set[tuple[str, date]]] = WeakKeyDictionary()


async def open_day(table: str, now: datetime) -> None:
    """Make the partition of `table` that holds `now`; no statement when this process has seen it.

    Outside the unit of work that writes, as attaching a partition locks the table.
    """
    days = _open_days.setdefault(connections.get("default"), set())
    day = (table, now.astimezone(UTC).date())
    if day not in days:
        async with rows_connection() as connection:
            await ensure_partitions(connection, table, [now])
        days.add(day)
