from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from core.audit import AuditType
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.events import AgentChanged
from core.selectors import parse_selector
from models.agents import Agent
from resolvers import tags
from resolvers.tags import AgentSelection, TagCount
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import published
from tests.resolvers.test_register import recorded


async def tags_of(agent: Agent) -> dict[str, str]:
    return (await Agent.find_row(agent.tenant_id, id=agent.id)).tags


class TestOfOneAgent:
    async def test_are_set_taken_off_and_replaced(self, ctx: Context) -> None:
        agent = await make_agent(ctx, tags={"site": "berlin", "line": "a"})
        await tags.set_tags(ctx, agent.uuid, {"env": "prod", "line": "b"}, ["site"])
        assert await tags_of(agent) == {"env": "prod", "line": "b"}
        await tags.remove_tag(ctx, agent.uuid, "line")
        assert await tags_of(agent) == {"env": "prod"}
        await tags.replace_tags(ctx, agent.uuid, {"site": "bonn"})
        assert await tags_of(agent) == {"site": "bonn"}
        await tags.replace_tags(ctx, agent.uuid, {})
        assert await tags_of(agent) == {}
        assert len(published(ctx, AgentChanged)) == 4
        assert await recorded(ctx, AuditType.DEVICE_TAGS_CHANGED) == [agent.uuid] * 4

    async def test_parallel_changes_of_different_keys_all_hold(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        wanted = {f"key-{number}": "x" for number in range(20)}
        await asyncio.gather(*(tags.set_tags(ctx, agent.uuid, {key: "x"}) for key in wanted))
        assert await tags_of(agent) == wanted

    async def test_repeating_a_change_tells_nobody(self, ctx: Context) -> None:
        agent = await make_agent(ctx, tags={"site": "berlin"})
        await tags.set_tags(ctx, agent.uuid, {"site": "berlin"}, ["line"])
        assert published(ctx, AgentChanged) == []

    async def test_a_tag_that_is_not_there_is_not_found(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        with pytest.raises(NotFound):
            await tags.remove_tag(ctx, agent.uuid, "site")

    @pytest.mark.parametrize(
        ("put", "remove"),
        [
            ({}, []),
            ({"a": "x"}, []),
            ({"ok": "x"}, ["ok"]),
            ({"ok": ""}, []),
            ([], []),
            ({}, ["Á"]),
        ],
    )
    async def test_refuses(self, ctx: Context, put: Any, remove: list[str]) -> None:
        agent = await make_agent(ctx)
        with pytest.raises(InvalidInput):
            await tags.set_tags(ctx, agent.uuid, put, remove)

    async def test_are_64_at_most(self, ctx: Context) -> None:
        full = {f"key-{number}": "x" for number in range(64)}
        agent = await make_agent(ctx, tags=full)
        with pytest.raises(InvalidInput):
            await tags.set_tags(ctx, agent.uuid, {"one-more": "x"})
        with pytest.raises(InvalidInput):
            await tags.change_tags(ctx, AgentSelection([agent.uuid]), {"one-more": "x"})
        assert await tags_of(agent) == full
        await tags.set_tags(ctx, agent.uuid, {"one-more": "x"}, ["key-0"])

    async def test_another_tenants_agent_is_not_found(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        other = await make_tenant(ctx.clock, ctx.ids)
        stranger = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        with pytest.raises(NotFound):
            await tags.set_tags(stranger, agent.uuid, {"site": "x"})
        found = await tags.change_tags(stranger, AgentSelection([agent.uuid]), {"site": "x"})
        assert found.matched == 0


class TestOfMany:
    async def test_are_changed_where_all_of_the_selection_is_met(self, ctx: Context) -> None:
        fleet = uuid4()
        one = await make_agent(ctx, tags={"site": "berlin"}, fleet_id=fleet)
        two = await make_agent(ctx, tags={"site": "berlin"})
        three = await make_agent(ctx, tags={"site": "bonn"}, fleet_id=fleet)
        berlin = parse_selector("site=berlin")
        found = await tags.change_tags(
            ctx, AgentSelection([one.uuid, three.uuid], berlin, fleet), {"ring": "1"}, ["site"]
        )
        assert (found.matched, found.changed, found.uuids) == (1, 1, [one.uuid])
        assert await tags_of(one) == {"ring": "1"}
        assert await tags_of(two) == {"site": "berlin"}
        found = await tags.change_tags(ctx, AgentSelection(fleet_id=fleet), {"ring": "1"})
        assert (found.matched, found.changed, found.uuids) == (2, 1, [three.uuid])

    async def test_a_dry_run_tells_and_does_nothing(self, ctx: Context) -> None:
        agent = await make_agent(ctx, tags={"site": "berlin"})
        found = await tags.change_tags(
            ctx, AgentSelection(selector=parse_selector("site")), {"site": "bonn"}, dry_run=True
        )
        assert (found.matched, found.changed, found.uuids) == (1, 1, [agent.uuid])
        assert await tags_of(agent) == {"site": "berlin"}
        assert published(ctx, AgentChanged) == []

    async def test_followers_are_poked_once_for_many(self, ctx: Context) -> None:
        for _ in range(101):
            await make_agent(ctx)
        everyone = AgentSelection(selector=parse_selector("!ring"))
        found = await tags.change_tags(ctx, everyone, {"ring": "1"})
        assert (found.matched, found.changed, len(found.uuids)) == (101, 101, 100)
        assert published(ctx, AgentChanged) == [AgentChanged(ctx.tenant_id, None)]

    async def test_parallel_changes_all_hold(self, ctx: Context) -> None:
        made = [await make_agent(ctx) for _ in range(10)]
        keys = [f"key-{number}" for number in range(8)]
        everyone = AgentSelection([agent.uuid for agent in made])
        await asyncio.gather(*(tags.change_tags(ctx, everyone, {key: "x"}) for key in keys))
        for agent in made:
            assert await tags_of(agent) == dict.fromkeys(keys, "x")

    async def test_needs_a_selection_of_bounded_size(self, ctx: Context) -> None:
        for selection in (AgentSelection(), AgentSelection([uuid4()] * 1001)):
            with pytest.raises(InvalidInput):
                await tags.change_tags(ctx, selection, {"site": "x"})


async def test_keys_and_values_are_listed_with_their_agents(ctx: Context) -> None:
    for site in ("berlin", "berlin", "bonn", "50%"):
        await make_agent(ctx, tags={"site": site, "line": "a"})
    assert await tags.list_tag_keys(ctx) == [TagCount("line", 4), TagCount("site", 4)]
    assert await tags.list_tag_keys(ctx, "si") == [TagCount("site", 4)]
    values = await tags.list_tag_values(ctx, "site")
    assert {each.text: each.agents for each in values} == {"50%": 1, "berlin": 2, "bonn": 1}
    assert await tags.list_tag_values(ctx, "site", "b", 1) == [TagCount("berlin", 2)]
    assert await tags.list_tag_values(ctx, "none") == []
    with pytest.raises(InvalidInput):
        await tags.list_tag_values(ctx, "NO KEY")
