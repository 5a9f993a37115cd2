from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from core.context import Context
from core.selectors import Selector
from models.agent_lists import AgentFilter, AgentOrder, AgentSort, conditions_of
from models.conditions import Conditions
from models.connection import fetch, rows_connection
from tests.factories import make_agent
from tests.selecting import SELECTORS, TAGS


@settings(max_examples=150, deadline=None)
@given(selector=SELECTORS, tags=st.lists(TAGS, min_size=1, max_size=12))
async def test_the_database_picks_what_the_selector_matches(
    rows: None, selector: Selector, tags: list[dict[str, str]]
) -> None:
    where = Conditions(1)
    where.add_selector(selector)
    given = where.parameter(orjson.dumps(tags).decode())
    found = await fetch(
        "with agent as (select 1 as tenant_id, t.place, t.tags"
        f" from jsonb_array_elements({given}::jsonb) with ordinality t(tags, place))"
        f" select place from agent where {where} order by place",
        *where.values,
    )
    picked = [tags[row["place"] - 1] for row in found]
    assert picked == [each for each in tags if selector.matches(each)]


async def _plan(where: Conditions, rest: str) -> str:
    async with rows_connection() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        rows = await connection.fetch(
            f"explain select id from agent where {where} {rest}", *where.values
        )
    return "\n".join(row[0] for row in rows)


async def test_a_list_by_name_is_read_off_its_index(ctx: Context) -> None:
    for at in range(3):
        await make_agent(ctx, name=f"agent {at}")
    where = conditions_of(ctx.tenant_id, AgentFilter())
    where.add("(name, id) > ({}, {})", "agent 0", 1)
    plan = await _plan(where, f"order by {AgentSort().sql} limit 11")
    assert "agent_by_name" in plan
    assert "Sort" not in plan
    backwards = await _plan(where, f"order by {AgentSort(AgentOrder.NAME, True).sql} limit 11")
    assert "Index Scan Backward" in backwards or "Index Only Scan Backward" in backwards
