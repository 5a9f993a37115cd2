from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from core.events import AgentChanged
from core.ids import secret_hash
from core.mqtt_topics import encode_id
from core.paging import encode_cursor
from models.agents import Agent
from models.tenants import Tenant
from resolvers import agents, device_callers
from resolvers.agents import AgentFilter
from tests.doubles import ManualClock, RecordingBus
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent, caller_of, nobody, provision, system

ALL = AgentFilter()


def manual(ctx: Context) -> tuple[Context, ManualClock]:
    clock = ManualClock(ctx.clock.now())
    return replace(ctx, clock=clock), clock


def changed(ctx: Context) -> list[AgentChanged]:
    assert isinstance(ctx.bus, RecordingBus)
    return [event for _, event in ctx.bus.published if isinstance(event, AgentChanged)]


class TestReading:
    async def test_another_tenants_agent_is_not_found(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        other = await make_tenant(ctx.clock, ctx.ids)
        stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        assert (await agents.get_agent(ctx, agent.uuid)).id == agent.id
        with pytest.raises(NotFound):
            await agents.get_agent(stranger, agent.uuid)
        assert (await agents.list_agents(stranger, ALL, 10, None)).total == 0

    async def test_an_agent_reads_itself_only(self, ctx: Context) -> None:
        agent, neighbour = await make_agent(ctx), await make_agent(ctx)
        me = as_agent(ctx, agent)
        assert (await agents.get_agent(me, agent.uuid)).id == agent.id
        with pytest.raises(NotFound):
            await agents.get_agent(me, neighbour.uuid)

    async def test_pages_visit_each_row_once(self, ctx: Context) -> None:
        names = ["b", "a", "a", "Ä", "a", "z z", '"quoted"', "B"]
        made = {(await make_agent(ctx, name=name)).id for name in names}
        seen: list[int] = []
        after: str | None = None
        for _ in range(10):
            page = await agents.list_agents(ctx, ALL, 3, after)
            assert page.total == len(names)
            seen += [agent.id for agent in page.items]
            if not page.has_next:
                break
            after = page.cursors[-1]
        assert len(seen) == len(names)
        assert set(seen) == made

    async def test_numbered_pages_agree_with_the_list(self, ctx: Context) -> None:
        for name in "edcba":
            await make_agent(ctx, name=name)
        listed = await agents.list_agents(ctx, ALL, 500, None)
        pages = [await agents.page_agents(ctx, ALL, page, 2) for page in (1, 2, 3, 4)]
        assert [len(page.items) for page in pages] == [2, 2, 1, 0]
        assert {page.total for page in pages} == {5}
        joined = [agent.id for page in pages for agent in page.items]
        assert joined == [agent.id for agent in listed.items]

    async def test_filters(self, ctx: Context) -> None:
        press = await make_agent(ctx, name="Press-100%", is_online=True)
        pump = await make_agent(ctx, name="pump_1", is_active=False)

        async def found(**wanted: object) -> set[int]:
            page = await agents.list_agents(ctx, AgentFilter(**wanted), 50, None)  # type: ignore[arg-type]  # by name
            return {agent.id for agent in page.items}

        assert await found() == {press.id, pump.id}
        assert await found(online=True) == {press.id}
        assert await found(online=False) == {pump.id}
        assert await found(active=False) == {pump.id}
        assert await found(text="press") == {press.id}
        assert await found(text="%") == {press.id}
        assert await found(text="_") == {pump.id}
        assert await found(text=str(pump.uuid)) == {pump.id}
        assert await found(text="nothing") == set()

    @pytest.mark.parametrize("first", [0, -1, 501])
    async def test_bounds_the_page(self, ctx: Context, first: int) -> None:
        with pytest.raises(InvalidInput):
            await agents.list_agents(ctx, ALL, first, None)
        with pytest.raises(InvalidInput):
            await agents.page_agents(ctx, ALL, 1, first)
        with pytest.raises(InvalidInput):
            await agents.page_agents(ctx, ALL, first if first < 1 else 10**9, 10)

    @pytest.mark.parametrize("after", ["", "x", "WzFd", "WyJhIiwgIngiXQ", "WyJhIiwgMWU5OV0", "é"])
    async def test_refuses_a_cursor_of_something_else(self, ctx: Context, after: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            await agents.list_agents(ctx, ALL, 10, after)
        assert caught.value.facts["field"] == "after"

    @pytest.mark.parametrize(
        "key",
        [
            '["a", -2147483649]',
            '["a", -1]',
            '["a", 2147483648]',
            '["a", true]',
            '["a", 1.5]',
            '["a\\u0000", 1]',
            '["\\ud800", 1]',
            "[1, 1]",
            '[["a"], 1]',
            "[" * 100_000,
        ],
    )
    async def test_refuses_a_cursor_that_no_row_has(self, ctx: Context, key: str) -> None:
        with pytest.raises(InvalidInput, match="cursor of this list"):
            await agents.list_agents(ctx, ALL, 10, encode_cursor(key))

    async def test_refuses_a_search_that_cannot_match(self, ctx: Context) -> None:
        for text in ("a\x00b", "x" * 256):
            with pytest.raises(InvalidInput):
                await agents.list_agents(ctx, AgentFilter(text=text), 10, None)


class TestDeviceKeys:
    async def test_names_the_agent(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        for uuid in (edge.uuid, None):
            caller = await device_callers.caller_from_device_key(
                nobody(ctx), edge.device_key, uuid=uuid
            )
            assert (caller.tenant_id, caller.agent_id) == (ctx.tenant_id, agent.id)
            assert caller.agent_uuid == edge.uuid
            assert caller.device_key_id is not None

    async def test_the_system_finds_the_agent_by_a_digest_it_kept(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        digest = secret_hash("device-key", edge.device_key)
        caller = await device_callers.caller_from_key_digest(system(ctx), digest)
        assert caller == (await caller_of(ctx, edge)).caller
        with pytest.raises(Unauthenticated):
            await device_callers.caller_from_key_digest(system(ctx), b"")

    @pytest.mark.parametrize("key", ["", "v2_nothing", "\x00"])
    async def test_refuses_an_unknown_key(self, ctx: Context, key: str) -> None:
        with pytest.raises(Unauthenticated):
            await device_callers.caller_from_device_key(nobody(ctx), key, uuid=None)

    async def test_refuses_another_agents_uuid(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        other, _ = await provision(ctx)
        with pytest.raises(Forbidden):
            await device_callers.caller_from_device_key(
                nobody(ctx), edge.device_key, uuid=other.uuid
            )

    async def test_deactivation_bites_at_once(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        await caller_of(ctx, edge)
        agent.is_active = False
        await agent.save()
        with pytest.raises(Forbidden):
            await caller_of(ctx, edge)


class TestLiveness:
    async def test_an_agent_that_comes_back_is_announced_once(self, ctx: Context) -> None:
        ctx, clock = manual(ctx)
        agent = await make_agent(ctx)
        for _ in range(3):
            await agents.mark_seen(as_agent(ctx, agent), [agent.id])
            clock.advance(seconds=16)
        row = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert row.is_online
        assert row.last_seen_at == clock.now() - timedelta(seconds=16)
        assert changed(ctx) == [AgentChanged(ctx.tenant_id, agent.uuid)]

    async def test_writes_at_most_every_fifteen_seconds(self, ctx: Context) -> None:
        ctx, clock = manual(ctx)
        agent = await make_agent(ctx)
        first = clock.now()
        for _ in range(15):
            await agents.mark_seen(system(ctx), [agent.id])
            clock.advance(seconds=0.99)
        row = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert row.last_seen_at == first
        clock.advance(seconds=1)
        await agents.mark_seen(system(ctx), [agent.id])
        row = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert row.last_seen_at == clock.now()

    async def test_never_moves_the_last_sighting_back(self, ctx: Context) -> None:
        ctx, _ = manual(ctx)
        later = ctx.clock.now() + timedelta(hours=1)
        agent = await make_agent(ctx, last_seen_at=later)
        await agents.mark_seen(system(ctx), [agent.id])
        assert (await Agent.find_row(ctx.tenant_id, id=agent.id)).last_seen_at == later

    async def test_the_system_marks_agents_of_all_tenants(self, ctx: Context) -> None:
        other = await make_tenant(ctx.clock, ctx.ids)
        ours = await make_agent(ctx)
        theirs = await make_agent(ctx, tenant_id=other.id)
        await agents.mark_seen(system(ctx), [ours.id, theirs.id, ours.id, 2**31 - 1])
        assert (await Agent.find_row(other.id, id=theirs.id)).is_online
        assert {event.tenant_id for event in changed(ctx)} == {ctx.tenant_id, other.id}

    async def test_an_agent_marks_itself_only(self, ctx: Context) -> None:
        agent, neighbour = await make_agent(ctx), await make_agent(ctx)
        await agents.mark_seen(as_agent(ctx, agent), [neighbour.id])
        assert not (await Agent.find_row(ctx.tenant_id, id=neighbour.id)).is_online

    async def test_silence_beyond_the_window_is_offline(self, ctx: Context) -> None:
        # Long ago, so that the sweep over all tenants touches no other test's agents.
        start = datetime(2001, 1, 1, tzinfo=UTC)
        clock = ManualClock(start)
        ctx = replace(ctx, clock=clock)
        silent = await make_agent(ctx, is_online=True, last_seen_at=start)
        alive = await make_agent(ctx, is_online=True, last_seen_at=start + timedelta(seconds=1))
        clock.advance(seconds=301)
        assert await agents.sweep_offline(system(ctx)) >= 1
        assert not (await Agent.find_row(ctx.tenant_id, id=silent.id)).is_online
        assert (await Agent.find_row(ctx.tenant_id, id=alive.id)).is_online
        mine = [event for event in changed(ctx) if event.tenant_id == ctx.tenant_id]
        assert mine == [AgentChanged(ctx.tenant_id, silent.uuid)]
        await agents.sweep_offline(system(ctx))
        assert len([e for e in changed(ctx) if e.tenant_id == ctx.tenant_id]) == 1


class TestTopics:
    async def test_finds_the_agent_behind_a_topic(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        tenant = await Tenant.get(id=ctx.tenant_id)
        for text in (str(tenant.uuid), str(tenant.uuid).upper(), encode_id(str(tenant.uuid))):
            found = await agents.find_topic_agent(system(ctx), text, agent.uuid)
            assert found is not None
            assert (found.tenant_id, found.agent_id) == (ctx.tenant_id, agent.id)

    async def test_finds_nobody_under_a_strange_id(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        for text in ("", "default", str(uuid4()), "a1b2c3d4e5f6", "x\x00"):
            assert await agents.find_topic_agent(system(ctx), text, agent.uuid) is None
        tenant = await Tenant.get(id=ctx.tenant_id)
        assert await agents.find_topic_agent(system(ctx), str(tenant.uuid), uuid4()) is None

    async def test_notices_a_deactivation_within_a_minute(self, ctx: Context) -> None:
        ctx, clock = manual(ctx)
        _, agent = await provision(ctx)
        tenant = str((await Tenant.get(id=ctx.tenant_id)).uuid)
        assert await agents.find_topic_agent(system(ctx), tenant, agent.uuid)
        agent.is_active = False
        await agent.save()
        clock.advance(seconds=59)
        assert await agents.find_topic_agent(system(ctx), tenant, agent.uuid)
        clock.advance(seconds=1)
        assert await agents.find_topic_agent(system(ctx), tenant, agent.uuid) is None
        agent.is_active = True
        await agent.save()
        clock.advance(seconds=5)
        assert await agents.find_topic_agent(system(ctx), tenant, agent.uuid)


class TestSessionDrops:
    async def test_waits_until_cleared(self, ctx: Context) -> None:
        first, second = await make_agent(ctx), await make_agent(ctx)
        count = await agents.request_session_drop(
            system(ctx), [first.id, second.id], seen_since=None
        )
        assert count == 2
        waiting = await self.mine(ctx, first, second)
        assert waiting == {first.id: f"agent_{first.uuid}", second.id: f"agent_{second.uuid}"}
        await agents.clear_session_drops(system(ctx), [first.id])
        assert set(await self.mine(ctx, first, second)) == {second.id}
        await agents.clear_session_drops(system(ctx), [second.id])

    async def test_after_an_outage_takes_those_who_were_there(self, ctx: Context) -> None:
        # Far ahead, so that "all agents" are those of this test.
        now = datetime(2101, 1, 1, tzinfo=UTC)
        there = await make_agent(ctx, last_seen_at=now)
        gone = await make_agent(ctx, last_seen_at=now - timedelta(days=2))
        never = await make_agent(ctx)
        ids = [there.id, gone.id, never.id]
        since = now - timedelta(hours=1)
        assert await agents.request_session_drop(system(ctx), ids, seen_since=since) == 1
        assert set(await self.mine(ctx, there, gone, never)) == {there.id}
        assert await agents.request_session_drop(system(ctx), None, seen_since=since) >= 1
        await agents.clear_session_drops(system(ctx), ids)

    async def mine(self, ctx: Context, *wanted: Agent) -> dict[int, str]:
        ids = {agent.id for agent in wanted}
        listed = await agents.list_session_drops(system(ctx), 500)
        return {drop.agent_id: drop.client_id for drop in listed if drop.agent_id in ids}
