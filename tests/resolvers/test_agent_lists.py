from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest

from core.context import Context
from core.errors import InvalidInput
from core.events import AgentChanged
from core.paging import encode_cursor
from core.selectors import parse_selector
from models.agent_lists import AgentOrder, AgentSort
from models.agents import Agent, ProvisioningState
from resolvers import agents
from resolvers.agents import AgentFilter
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import published, system

ALL = AgentFilter()
SORTS = [AgentSort(by, descending) for by, descending in product(AgentOrder, (False, True))]


async def walk(ctx: Context, sort: AgentSort, first: int = 3) -> list[Agent]:
    """Return all agents, page by page."""
    seen: list[Agent] = []
    after: str | None = None
    for _ in range(20):
        page = await agents.list_agents(ctx, ALL, first, after, sort)
        seen += page.items
        if not page.has_next:
            return seen
        after = page.cursors[-1]
    raise AssertionError("the pages do not end")


async def make_many(ctx: Context) -> set[int]:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    made = set()
    for at in range(11):
        agent = await make_agent(
            ctx,
            name=f"agent {at % 4}",
            is_online=at % 3 == 0,
            created_at=start + timedelta(microseconds=at % 5),
            last_seen_at=None if at % 4 == 0 else start - timedelta(microseconds=at % 5),
        )
        made.add(agent.id)
    return made


class TestSorting:
    @pytest.mark.parametrize("sort", SORTS)
    async def test_pages_visit_each_agent_once_and_in_order(
        self, ctx: Context, sort: AgentSort
    ) -> None:
        made = await make_many(ctx)
        seen = await walk(ctx, sort)
        assert [agent.id for agent in seen] == [a.id for a in await walk(ctx, sort, 500)]
        assert len(seen) == len(made)
        assert {agent.id for agent in seen} == made

        def key(agent: Agent) -> tuple[Any, ...]:
            value: Any = getattr(agent, sort.column)
            return (value, agent.id)

        known = [agent for agent in seen if getattr(agent, sort.column) is not None]
        unknown = seen[len(known) :]
        assert known == sorted(known, key=key, reverse=sort.descending)
        assert unknown == sorted(unknown, key=lambda agent: agent.id, reverse=sort.descending)
        assert all(getattr(agent, sort.column) is None for agent in unknown)

    @pytest.mark.parametrize("sort", SORTS)
    async def test_numbered_pages_agree(self, ctx: Context, sort: AgentSort) -> None:
        await make_many(ctx)
        pages = [await agents.page_agents(ctx, ALL, page, 4, sort) for page in (1, 2, 3)]
        joined = [agent.id for page in pages for agent in page.items]
        assert joined == [agent.id for agent in await walk(ctx, sort)]

    async def test_rows_that_stay_are_seen_once_while_others_move(self, ctx: Context) -> None:
        made = [await make_agent(ctx, name=f"agent {at}") for at in range(9)]
        page = await agents.list_agents(ctx, ALL, 3, None)
        await Agent.of(ctx.tenant_id, id=made[2].id).update(name="zzz")  # where the cursor stands
        await Agent.of(ctx.tenant_id, id=made[0].id).delete()
        rest = await agents.list_agents(ctx, ALL, 50, page.cursors[-1])
        assert [agent.id for agent in rest.items] == [a.id for a in made[3:]] + [made[2].id]

    async def test_a_cursor_is_good_for_its_own_order_only(self, ctx: Context) -> None:
        for _ in range(2):
            await make_agent(ctx)
        for sort in SORTS:
            cursor = (await agents.list_agents(ctx, ALL, 1, None, sort)).cursors[0]
            for other in SORTS:
                if other != sort:
                    with pytest.raises(InvalidInput):
                        await agents.list_agents(ctx, ALL, 1, cursor, other)

    @pytest.mark.parametrize("value", ["true", '"x"', "1e400", "99999999999999999999", "[]", "{}"])
    async def test_refuses_a_moment_that_is_none(self, ctx: Context, value: str) -> None:
        cursor = encode_cursor(f'[{value}, 1, "created", "asc"]')
        with pytest.raises(InvalidInput):
            await agents.list_agents(ctx, ALL, 1, cursor, AgentSort(AgentOrder.CREATED))


async def test_filters(ctx: Context) -> None:
    fleet = uuid4()
    one = await make_agent(ctx, tags={"site": "berlin"}, fleet_id=fleet, agent_version="1.2")
    two = await make_agent(
        ctx, type="panel", provisioning_state=ProvisioningState.REGISTERED, tags={"site": "bonn"}
    )
    for wanted, found in (
        (AgentFilter(selector=parse_selector("site=berlin")), {one.id}),
        (AgentFilter(selector=parse_selector("site != berlin, !line")), {two.id}),
        (AgentFilter(fleet_id=fleet), {one.id}),
        (AgentFilter(fleet_id=uuid4()), set()),
        (AgentFilter(version="1.2"), {one.id}),
        (AgentFilter(type="panel"), {two.id}),
        (AgentFilter(provisioning_state=ProvisioningState.REGISTERED), {two.id}),
        (AgentFilter(type="panel", fleet_id=fleet), set()),
        (AgentFilter(text=str(one.uuid), online=False), {one.id}),
    ):
        page = await agents.list_agents(ctx, wanted, 50, None)
        assert {agent.id for agent in page.items} == found, wanted
        assert page.total == len(found)
    for bad in (AgentFilter(type="x\x00"), AgentFilter(version="x" * 256)):
        with pytest.raises(InvalidInput):
            await agents.list_agents(ctx, bad, 50, None)


async def test_a_silent_agent_is_announced_once_by_many_sweepers(ctx: Context) -> None:
    # Long ago, so that the sweeps over all tenants touch no other test's agents.
    clock = ManualClock(datetime(2002, 1, 1, tzinfo=UTC))
    ctx = replace(ctx, clock=clock)
    made = [await make_agent(ctx, is_online=True, last_seen_at=clock.now()) for _ in range(5)]
    clock.advance(seconds=301)
    await asyncio.gather(*(agents.sweep_offline(system(ctx)) for _ in range(6)))
    told = [e for e in published(ctx, AgentChanged) if e.tenant_id == ctx.tenant_id]
    assert sorted(told, key=str) == sorted(
        (AgentChanged(ctx.tenant_id, agent.uuid) for agent in made), key=str
    )


async def test_a_flapping_agent_is_announced_once_each_way(ctx: Context) -> None:
    clock = ManualClock(datetime(2003, 1, 1, tzinfo=UTC))
    ctx = replace(ctx, clock=clock)
    agent = await make_agent(ctx)
    ways = []
    for _ in range(3):
        for _ in range(2):
            await agents.mark_seen(system(ctx), [agent.id])
            clock.advance(seconds=20)
        ways.append((await Agent.find_row(ctx.tenant_id, id=agent.id)).changed_at)
        clock.advance(seconds=300)
        for _ in range(2):
            await agents.sweep_offline(system(ctx))
        ways.append((await Agent.find_row(ctx.tenant_id, id=agent.id)).changed_at)
        clock.advance(seconds=1)
    mine = [e for e in published(ctx, AgentChanged) if e.tenant_id == ctx.tenant_id]
    assert mine == [AgentChanged(ctx.tenant_id, agent.uuid)] * 6
    assert ways == sorted(set(ways))
