"""Range partitions by day or hour: made when needed, dropped when old."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

WIDTHS: dict[str, timedelta] = {
    "reading_hot": DAY,
    "reading_text": DAY,
    "device_log": DAY,
    "agent_metric": DAY,
    "endpoint_health_history": DAY,
    "state_history": DAY,
    "journal": HOUR,
}
_DETACH_SECONDS_MAX = 3600.0
_DDL_LOCK = 0x70617274  # "part": two programs never make the same partition at once


def start_of(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the partition that holds `moment`."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((moment - midnight) // width) * width


def name_of(table: str, start: datetime) -> str:
    """Return the partition's table name."""
    return f"{table}_{start:%Y%m%d}" if WIDTHS[table] >= DAY else f"{table}_{start:%Y%m%d%H}"


async def ensure_partitions(conn: Any, table: str, moments: Iterable[datetime]) -> None:
    """Create the partitions of `table` that hold `moments` and do not exist yet.

    `conn` is an asyncpg connection, inside a transaction or not. A table is made first and
    attached then, because ATTACH takes a weaker lock on the parent than PARTITION OF does.
    """
    width = WIDTHS[table]
    starts = sorted({start_of(moment, width) for moment in moments})
    names = [name_of(table, start) for start in starts]
    found = await conn.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = $1::text::regclass and c.relname = any($2)",
        table,
        names,
    )
    there = {row["relname"] for row in found}
    for start, name in zip(starts, names, strict=True):
        if name not in there:
            await _create(conn, table, name, start, start + width)


async def _create(conn: Any, table: str, name: str, start: datetime, end: datetime) -> None:
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock($1)", _DDL_LOCK)
        attached = await conn.fetchval(
            "select exists(select from pg_inherits where inhrelid = to_regclass($1))", name
        )
        if attached:
            return
        # Names come from our own tables and dates; nothing of a caller gets here.
        await conn.execute(
            f"create table if not exists {name} (like {table} including defaults including storage)"
        )
        await conn.execute(
            f"alter table {table} attach partition {name}"
            f" for values from ('{start.isoformat()}') to ('{end.isoformat()}')"
        )


async def partitions_before(conn: Any, table: str, moment: datetime) -> list[str]:
    """Return the partitions of `table` that end at or before `moment`, oldest first."""
    rows = await conn.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = $1::text::regclass order by 1",
        table,
    )
    limit = name_of(table, start_of(moment, WIDTHS[table]))
    return [row["relname"] for row in rows if row["relname"] < limit]


async def drop_partitions(conn: Any, table: str, names: Iterable[str]) -> None:
    """Drop partitions by name. Must not run inside a transaction.

    Detaching concurrently lets readers and writers of the parent go on.
    """
    for name in names:
        # One that was cut off half-way must be finished; it cannot be begun again.
        is_pending = await conn.fetchval(
            "select inhdetachpending from pg_inherits where inhrelid = to_regclass($1)", name
        )
        way = "finalize" if is_pending else "concurrently"
        detach = f"alter table {table} detach partition {name} {way}"
        # It waits for everybody who reads the parent, however long that takes.
        await conn.execute(detach, timeout=_DETACH_SECONDS_MAX)
        await conn.execute(f"drop table {name}")
