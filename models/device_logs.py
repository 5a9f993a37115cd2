"""Log lines of agents: written in one statement into daily partitions, outside the ORM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.errors import InvalidInput
from models.connection import json_text, rows_connection
from models.timeseries.partitions import ensure_partitions

LogRow = tuple[int, int, datetime, str, str, str, bool, bool, str, datetime]
"""One line in the order of the table's columns; `meta` as JSON text."""

# Not COPY, which would have to go past the parent and its row-level security (docs/adr/0014).
_INSERT = """
insert into device_log (tenant_id, agent_id, at, level, service, message, is_system, is_stderr,
                        meta, received_at)
select * from unnest($1::int[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
                     $7::boolean[], $8::boolean[], $9::jsonb[], $10::timestamptz[])
"""


async def open_log_days(moments: Sequence[datetime]) -> None:
    """Make the partitions that hold these moments.

    Outside the unit of work that writes: attaching a partition locks the table, and that lock
    must not last until somebody's upload has been copied.
    """
    if not moments:
        return
    async with rows_connection() as connection:
        await ensure_partitions(connection, "device_log", moments)


async def append_log_batch(
    tenant_id: int, agent_id: int, batch_id: str | None, rows: Sequence[LogRow], now: datetime
) -> bool:
    """Store lines together with their batch id; False when that id was stored before."""
    async with rows_connection() as connection:
        if batch_id is not None and not await _take_batch(
            connection, tenant_id, agent_id, batch_id, len(rows), now
        ):
            return False
        if rows:
            await connection.execute(_INSERT, *map(list, zip(*rows, strict=True)))
    return True


async def _take_batch(
    connection: Any, tenant_id: int, agent_id: int, batch_id: str, line_count: int, now: datetime
) -> bool:
    taken = await connection.fetchval(
        "insert into log_batch (tenant_id, agent_id, batch_id, line_count, received_at)"
        " values ($1, $2, $3, $4, $5)"
        " on conflict (tenant_id, agent_id, batch_id) do nothing returning id",
        tenant_id,
        agent_id,
        batch_id,
        line_count,
        now,
    )
    return taken is not None


def meta_json(meta: dict[str, Any]) -> str:
    """Return the free facts of a line as JSON text; what is nested too deeply is left out."""
    try:
        return json_text(meta, "meta")
    except InvalidInput:
        return "{}"
