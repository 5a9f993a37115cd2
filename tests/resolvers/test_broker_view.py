from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.broker_figures import BrokerFigures
from core.callers import Caller, Role, system_caller
from core.context import Context
from core.errors import InvalidInput, Unavailable
from models.agent_traffic import Tally, TrafficOrder
from models.agents import Agent
from models.tenants import first_tenant
from resolvers.broker_view import (
    SILENCE_MAX,
    find_agent_traffic,
    get_broker,
    list_agent_traffic,
    record_broker,
    record_traffic,
)
from resolvers.register import delete_agent
from tests.doubles import ManualClock
from tests.factories import make_agent, make_tenant

FIGURES = BrokerFigures(version="one", clients_connected=7, bytes_received_rate=1.5)


@pytest.fixture
def clock(ctx: Context) -> ManualClock:
    return ManualClock(ctx.clock.now())


@pytest.fixture
def system(ctx: Context, clock: ManualClock) -> Context:
    return replace(ctx, clock=clock, caller=system_caller(0))


async def installation_owner(system: Context, role: Role = Role.OWNER) -> Context:
    first = await first_tenant()
    assert first is not None
    return system.acting_as(Caller(role, first.id))


class TestFigures:
    async def test_are_for_owners_of_the_first_tenant_alone(
        self, ctx: Context, system: Context
    ) -> None:
        await record_broker(system, FIGURES)
        assert (await get_broker(await installation_owner(system))).figures == FIGURES
        other = await make_tenant(ctx.clock, ctx.ids)
        for caller in (
            Caller(Role.OWNER, other.id),
            (await installation_owner(system, Role.ADMIN)).caller,
            replace(
                (await installation_owner(system)).caller, scopes=frozenset({"mqtt:user:read"})
            ),
        ):
            seen = await get_broker(system.acting_as(caller))
            assert seen.figures is None
            assert seen.is_connected

    async def test_tell_nothing_while_the_broker_is_away(self, system: Context) -> None:
        owner = await installation_owner(system)
        await record_broker(system, FIGURES)
        assert (await get_broker(owner, connected=True)).is_connected
        await record_broker(system, None)
        seen = await get_broker(owner)
        assert (seen.is_connected, seen.figures, seen.at) == (False, None, system.clock.now())
        with pytest.raises(Unavailable):
            await get_broker(owner, connected=True)

    async def test_grow_old_when_nobody_watches(self, system: Context, clock: ManualClock) -> None:
        owner = await installation_owner(system)
        await record_broker(system, FIGURES)
        at = clock.now()
        clock.advance(seconds=SILENCE_MAX.total_seconds() + 1)
        seen = await get_broker(owner)
        assert (seen.is_connected, seen.figures, seen.at) == (False, None, at)

    async def test_of_a_slower_program_do_not_replace_newer_ones(
        self, system: Context, clock: ManualClock
    ) -> None:
        await record_broker(system, FIGURES)
        slower = replace(system, clock=ManualClock(clock.now() - timedelta(seconds=1)))
        await record_broker(slower, None)
        assert (await get_broker(await installation_owner(system))).is_connected


class TestTraffic:
    async def test_adds_up_over_processes(
        self, ctx: Context, system: Context, clock: ManualClock
    ) -> None:
        agent, silent = await make_agent(ctx), await make_agent(ctx)
        now = clock.now()
        await record_traffic(system, [Tally(agent.id, 2, 30, now)])
        await record_traffic(system, [Tally(agent.id, 1, 5, now - timedelta(seconds=9))])
        await record_traffic(system, [])
        found = await find_agent_traffic(ctx, [agent.id, silent.id])
        assert set(found) == {agent.id}
        row = found[agent.id]
        assert (row.messages, row.bytes, row.last_message_at) == (3, 35, now)

    async def test_is_each_tenants_own(self, ctx: Context, system: Context) -> None:
        other = await make_tenant(ctx.clock, ctx.ids)
        mine, theirs = await make_agent(ctx), await make_agent(ctx, tenant_id=other.id)
        now = ctx.clock.now()
        await record_traffic(system, [Tally(mine.id, 1, 10, now), Tally(theirs.id, 1, 99, now)])
        assert set(await find_agent_traffic(ctx, [mine.id, theirs.id])) == {mine.id}
        sums = (await get_broker(ctx)).traffic
        assert (sums.agents, sums.messages, sums.bytes) == (1, 1, 10)
        assert sums.last_message_at == now
        page = await list_agent_traffic(ctx, TrafficOrder.BYTES, 10, None)
        assert [row.agent_uuid for row in page.items] == [mine.uuid]
        assert page.total == 1

    async def test_of_a_deleted_agent_is_gone_and_its_neighbours_is_counted(
        self, ctx: Context, system: Context
    ) -> None:
        gone, kept, now = await make_agent(ctx), await make_agent(ctx), ctx.clock.now()
        tallies = [Tally(gone.id, 1, 1, now), Tally(kept.id, 1, 1, now)]
        await record_traffic(system, tallies)
        await delete_agent(ctx, gone.uuid)
        await record_traffic(system, tallies)
        found = await find_agent_traffic(ctx, [gone.id, kept.id])
        assert {id_: row.messages for id_, row in found.items()} == {kept.id: 2}


async def three(ctx: Context, system: Context) -> list[Agent]:
    """Make agents of which the second sent most, the third last; the first two sent as much often."""
    agents = [await make_agent(ctx, name=name) for name in ("a", "b", "c")]
    figures = [(5, 10, 2), (5, 30, 1), (1, 20, 0)]
    now = ctx.clock.now()
    tallies = [
        Tally(agent.id, messages, size, now - timedelta(seconds=age))
        for agent, (messages, size, age) in zip(agents, figures, strict=True)
    ]
    await record_traffic(system, tallies)
    return agents


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (TrafficOrder.BYTES, "bca"),
        (TrafficOrder.MESSAGES, "bac"),
        (TrafficOrder.LAST_MESSAGE, "cba"),
    ],
    ids=["bytes", "messages", "last message"],
)
async def test_the_list_is_paged_most_or_newest_first(
    ctx: Context, system: Context, order: TrafficOrder, names: str
) -> None:
    await three(ctx, system)
    found, after = "", None
    for left in (True, True, False):
        page = await list_agent_traffic(ctx, order, 1, after)
        found += page.items[0].agent_name
        after = page.cursors[0]
        assert (page.has_next, page.total) == (left, 3)
    assert found == names


async def test_the_list_refuses_cursors_of_others(ctx: Context, system: Context) -> None:
    await three(ctx, system)
    page = await list_agent_traffic(ctx, TrafficOrder.BYTES, 1, None)
    for order, after in ((TrafficOrder.MESSAGES, page.cursors[0]), (TrafficOrder.BYTES, "eA")):
        with pytest.raises(InvalidInput, match="cursor"):
            await list_agent_traffic(ctx, order, 1, after)
