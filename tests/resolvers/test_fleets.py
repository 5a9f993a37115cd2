from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from core.events import AgentChanged
from core.paging import encode_cursor
from core.selectors import parse_selector
from models.agents import Agent
from models.connection import fetch
from models.fleets import Fleet, FleetCounts, FleetStatus, FleetType
from resolvers import fleets
from resolvers.fleets import FleetChanges, FleetFilter
from resolvers.provisioning_keys import create_provisioning_key
from resolvers.tags import AgentSelection
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import Edge, published, register


async def make_fleet(ctx: Context, name: str = "presses", **values: Any) -> Fleet:
    return await fleets.create_fleet(ctx, FleetChanges(name=name, **values))


async def fleet_of(agent: Agent) -> UUID | None:
    return (await Agent.find_row(agent.tenant_id, id=agent.id)).fleet_id


async def recorded(ctx: Context) -> list[str]:
    rows = await fetch(
        "select event_type from audit_event where tenant_id = $1 and subject like 'fleet:%'"
        " order by id",
        ctx.tenant_id,
    )
    return [row["event_type"] for row in rows]


class TestOneFleet:
    async def test_is_made_changed_and_deleted(self, ctx: Context) -> None:
        made = await make_fleet(ctx, " presses ", tags={"site": "berlin"})
        found = await fleets.get_fleet(ctx, made.id)
        assert (found.name, found.type, found.version) == ("presses", FleetType.PHYSICAL, 1)
        changes = FleetChanges(type=FleetType.MIXED, location="hall 1")
        changed = await fleets.update_fleet(ctx, made.id, changes, if_version=1)
        assert (changed.name, changed.type, changed.version) == ("presses", FleetType.MIXED, 2)
        deleted = await fleets.delete_fleet(ctx, made.id)
        assert deleted.status is FleetStatus.DELETED
        with pytest.raises(NotFound):
            await fleets.get_fleet(ctx, made.id)
        assert await recorded(ctx) == ["fleet_created", "fleet_updated", "fleet_deleted"]

    async def test_a_change_of_nothing_keeps_the_version(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        for changes in (FleetChanges(), FleetChanges(name="presses")):
            assert (await fleets.update_fleet(ctx, made.id, changes)).version == 1
        assert await recorded(ctx) == ["fleet_created"]

    async def test_a_name_is_taken_until_its_fleet_is_deleted(self, ctx: Context) -> None:
        made, other = await make_fleet(ctx), await make_fleet(ctx, "ovens")
        with pytest.raises(Conflict):
            await make_fleet(ctx, "PRESSES")
        with pytest.raises(Conflict):
            await fleets.update_fleet(ctx, other.id, FleetChanges(name="Presses"))
        await fleets.delete_fleet(ctx, made.id)
        await make_fleet(ctx, "PRESSES")

    async def test_another_version_is_not_overwritten(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        with pytest.raises(PreconditionFailed):
            await fleets.update_fleet(ctx, made.id, FleetChanges(name="x"), if_version=2)

    @pytest.mark.parametrize(
        "values",
        [
            FleetChanges(),
            FleetChanges(name=""),
            FleetChanges(name="x" * 201),
            FleetChanges(name="a\x00"),
            FleetChanges(name="x", environment="x" * 101),
            FleetChanges(name="x", description="x" * 1001),
            FleetChanges(name="x", tags={"X": "x"}),
        ],
    )
    async def test_refuses(self, ctx: Context, values: FleetChanges) -> None:
        with pytest.raises(InvalidInput):
            await fleets.create_fleet(ctx, values)

    async def test_another_tenants_fleet_is_not_found(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        other = await make_tenant(ctx.clock, ctx.ids)
        stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        everyone = AgentSelection(selector=parse_selector("!none"))
        for attempt in (
            fleets.get_fleet(stranger, made.id),
            fleets.update_fleet(stranger, made.id, FleetChanges(name="x")),
            fleets.delete_fleet(stranger, made.id),
            fleets.add_agents(stranger, made.id, everyone),
            fleets.remove_agents(stranger, made.id, everyone),
            create_provisioning_key(stranger, fleet_uuid=made.id),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await fleets.find_fleets(stranger, [made.id]) == {}
        assert (await fleets.list_fleets(stranger, FleetFilter(), 10, None)).total == 0


class TestLists:
    async def test_pages_visit_each_fleet_once_by_name(self, ctx: Context) -> None:
        names = ["b", "a", "d", "c", "e"]
        for name in names:
            await make_fleet(ctx, name)
        seen: list[str] = []
        after: str | None = None
        for _ in range(3):
            page = await fleets.list_fleets(ctx, FleetFilter(), 2, after)
            assert page.total == len(names)
            seen += [fleet.name for fleet in page.items]
            after = page.cursors[-1]
        assert seen == sorted(names)
        assert not page.has_next

    async def test_filters(self, ctx: Context) -> None:
        await make_fleet(ctx, "Presses", environment="prod", type=FleetType.MIXED)
        gone = await make_fleet(ctx, "ovens")
        await fleets.delete_fleet(ctx, gone.id)
        for wanted, names in (
            (FleetFilter(), ["Presses"]),
            (FleetFilter(status=FleetStatus.DELETED), ["ovens"]),
            (FleetFilter(status=FleetStatus.ACTIVE), ["Presses"]),
            (FleetFilter(type=FleetType.MIXED), ["Presses"]),
            (FleetFilter(type=FleetType.VIRTUAL), []),
            (FleetFilter(environment="prod"), ["Presses"]),
            (FleetFilter(text="press"), ["Presses"]),
            (FleetFilter(text="%"), []),
        ):
            page = await fleets.list_fleets(ctx, wanted, 10, None)
            assert [fleet.name for fleet in page.items] == names, wanted

    @pytest.mark.parametrize("key", ["", "[]", '["a", 1]', '["a", "x"]', '[1, "x"]', "9" * 5_000])
    async def test_refuses_a_cursor_of_something_else(self, ctx: Context, key: str) -> None:
        with pytest.raises(InvalidInput):
            await fleets.list_fleets(ctx, FleetFilter(), 10, encode_cursor(key))


class TestMembers:
    async def test_join_and_are_told_apart(self, ctx: Context) -> None:
        presses, ovens = await make_fleet(ctx), await make_fleet(ctx, "ovens")
        new, member = await make_agent(ctx), await make_agent(ctx, fleet_id=presses.id)
        elsewhere, nobody = await make_agent(ctx, fleet_id=ovens.id), uuid4()
        select = AgentSelection([new.uuid, member.uuid, elsewhere.uuid, nobody])
        found = await fleets.add_agents(ctx, presses.id, select)
        assert (found.joined, found.added) == (1, [new.uuid])
        assert found.already_member == [member.uuid]
        assert found.elsewhere == [elsewhere.uuid]
        assert found.not_found == [nobody]
        assert await fleet_of(new) == presses.id
        assert await fleet_of(elsewhere) == ovens.id
        assert published(ctx, AgentChanged) == [AgentChanged(ctx.tenant_id, new.uuid)]
        found = await fleets.add_agents(ctx, presses.id, select, move=True)
        assert (found.added, found.elsewhere) == ([elsewhere.uuid], [])
        assert await fleet_of(elsewhere) == presses.id

    async def test_leave(self, ctx: Context) -> None:
        presses, ovens = await make_fleet(ctx), await make_fleet(ctx, "ovens")
        ours = await make_agent(ctx, fleet_id=presses.id, tags={"site": "bonn"})
        theirs = await make_agent(ctx, fleet_id=ovens.id, tags={"site": "bonn"})
        bonn = AgentSelection(selector=parse_selector("site=bonn"))
        found = await fleets.remove_agents(ctx, presses.id, bonn)
        assert (found.left, found.removed) == (1, [ours.uuid])
        assert await fleet_of(ours) is None
        assert await fleet_of(theirs) == ovens.id
        assert (await fleets.remove_agents(ctx, presses.id, bonn)).left == 0

    async def test_leave_when_their_fleet_is_deleted(self, ctx: Context) -> None:
        presses, ovens = await make_fleet(ctx), await make_fleet(ctx, "ovens")
        ours, theirs = [await make_agent(ctx, fleet_id=each.id) for each in (presses, ovens)]
        await fleets.delete_fleet(ctx, presses.id)
        assert await fleet_of(ours) is None
        assert await fleet_of(theirs) == ovens.id
        assert published(ctx, AgentChanged) == [AgentChanged(ctx.tenant_id, ours.uuid)]

    async def test_an_agent_is_in_one_fleet_however_many_call_it(self, ctx: Context) -> None:
        made = [await make_fleet(ctx, f"fleet {number}") for number in range(5)]
        agent = await make_agent(ctx)
        select = AgentSelection([agent.uuid])
        found = await asyncio.gather(*(fleets.add_agents(ctx, each.id, select) for each in made))
        assert sorted(each.joined for each in found) == [0, 0, 0, 0, 1]

    async def test_nobody_joins_a_fleet_while_it_is_deleted(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        agents = [await make_agent(ctx) for _ in range(5)]
        joining = [fleets.add_agents(ctx, made.id, AgentSelection([a.uuid])) for a in agents]
        await asyncio.gather(*joining, fleets.delete_fleet(ctx, made.id), return_exceptions=True)
        assert await Agent.of(ctx.tenant_id, fleet_id=made.id).count() == 0

    async def test_are_counted_and_listed_for_many_fleets_at_once(self, ctx: Context) -> None:
        presses, empty = await make_fleet(ctx), await make_fleet(ctx, "empty")
        for name, online, active in (("c", True, True), ("a", False, True), ("b", True, False)):
            await make_agent(
                ctx, name=name, fleet_id=presses.id, is_online=online, is_active=active
            )
        ids = [presses.id, empty.id]
        assert await fleets.count_members(ctx, ids) == {presses.id: FleetCounts(3, 2, 2)}
        members = await fleets.list_members(ctx, ids, 2)
        assert [agent.name for agent in members[presses.id]] == ["a", "b"]
        assert members[empty.id] == []


class TestProvisioning:
    async def test_agents_join_the_fleet_of_their_key(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        key = await create_provisioning_key(ctx, agents_max=2, fleet_uuid=made.id)
        assert (await register(ctx, Edge.make(), key.key)).agent.fleet_id == made.id
        await fleets.delete_fleet(ctx, made.id)
        assert (await register(ctx, Edge.make(), key.key)).agent.fleet_id is None

    async def test_a_key_needs_a_fleet_that_there_is(self, ctx: Context) -> None:
        with pytest.raises(NotFound):
            await create_provisioning_key(ctx, fleet_uuid=uuid4())

    async def test_registering_again_does_not_bring_an_agent_back(self, ctx: Context) -> None:
        made = await make_fleet(ctx)
        key, edge = await create_provisioning_key(ctx, fleet_uuid=made.id), Edge.make()
        await register(ctx, edge, key.key)
        await fleets.remove_agents(ctx, made.id, AgentSelection([edge.uuid]))
        assert (await register(ctx, edge, key.key)).agent.fleet_id is None
