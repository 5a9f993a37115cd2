"""Whatever tables there are: what is left of an agent that was deleted."""

from __future__ import annotations

from core.context import Context
from models.connection import fetch
from models.open_days import open_day
from models.timeseries.partitions import WIDTHS
from resolvers import register
from tests.contracts import tenant_rows
from tests.factories import make_agent

LEFT_TO_RETENTION = {
    *("reading_hot", "reading_text", "reading_latest", "series", "journal"),
    *("device_log", "agent_metric", "endpoint_health_history", "state_history"),
    *("log_batch", "log_drop"),
}
"""Partitions are dropped as a whole, and what is out of reach without its agent goes with time."""

_WITH_AGENT = (
    "select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid"
    " where a.attname = 'agent_id' and a.attnotnull and not a.attisdropped and not c.relispartition"
    " and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace order by 1"
)


async def test_nothing_of_a_deleted_agent_stays_but_what_retention_ends(ctx: Context) -> None:
    agent, neighbour = await make_agent(ctx), await make_agent(ctx)
    tables = [row["name"] for row in await fetch(_WITH_AGENT)]
    assert len(tables) >= len(LEFT_TO_RETENTION)
    now = ctx.clock.now()
    for table in tables:
        if table in WIDTHS:
            await open_day(table, now)
        for each in (agent, neighbour):
            known = {"tenant_id": ctx.tenant_id, "agent_id": each.id}
            mark = ctx.ids.secret_hex(8)
            await tenant_rows.fill(table, known, mark, now, ctx.ids)
    await register.delete_agent(ctx, agent.uuid)
    left = {table for table in tables if await _rows(table, ctx.tenant_id, agent.id)}
    assert left <= LEFT_TO_RETENTION | {"broker_message"}  # which takes its retained message away
    assert {table for table in tables if await _rows(table, ctx.tenant_id, neighbour.id)} == set(
        tables
    )


async def _rows(table: str, tenant_id: int, agent_id: int) -> bool:
    return bool(
        await fetch(
            f"select 1 from {table} where tenant_id = $1 and agent_id = $2 limit 1",
            tenant_id,
            agent_id,
        )
    )
