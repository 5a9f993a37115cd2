from __future__ import annotations

import asyncio
from typing import Any

from core.callers import Role
from core.context import Context
from core.events import AgentChanged, agents_topic
from models.agents import Agent
from resolvers import register
from tests.factories import make_agent
from tests.schema.asking import as_person, as_role, ask, follow, refusal

CHANGED = "subscription($u: UUID) { agentChanged(agentUuid: $u) { name tags } }"


async def test_fleets_and_tags_through_the_graph(ctx: Context) -> None:
    agent = await make_agent(ctx, name="press", is_online=True)
    made = await ask(
        ctx, 'mutation { createFleet(fleet: {name: "presses", type: mixed}) { uuid version } }'
    )
    uuid = made["createFleet"]["uuid"]
    joined = await ask(
        ctx,
        "mutation($f: UUID!, $a: UUID!) { addAgentsToFleet(uuid: $f, select: {uuid: $a})"
        " { joined fleet { counts { agents online offline active } agents { name } } } }",
        f=uuid,
        a=str(agent.uuid),
    )
    counts = {"agents": 1, "online": 1, "offline": 0, "active": 1}
    assert joined["addAgentsToFleet"] == {
        "joined": 1,
        "fleet": {"counts": counts, "agents": [{"name": "press"}]},
    }
    changed = await ask(
        ctx,
        'mutation($f: UUID!) { changeTags(select: {fleetUuid: $f}, set: {site: "berlin"})'
        " { matched changed uuids } }",
        f=uuid,
    )
    assert changed["changeTags"] == {"matched": 1, "changed": 1, "uuids": [str(agent.uuid)]}
    found = await ask(
        ctx,
        '{ agents(filter: {selector: "site=berlin"}, sort: {by: last_seen, descending: true})'
        " { nodes { name tags fleet { name type } fleetUuid mqttUsername } } }",
    )
    assert found["agents"]["nodes"] == [
        {
            "name": "press",
            "tags": {"site": "berlin"},
            "fleet": {"name": "presses", "type": "mixed"},
            "fleetUuid": uuid,
            "mqttUsername": None,
        }
    ]
    await ask(ctx, "mutation($f: UUID!) { deleteFleet(uuid: $f) { status } }", f=uuid)
    gone = await ask(ctx, "{ agents { nodes { fleet { name } fleetUuid } } }")
    assert gone["agents"]["nodes"] == [{"fleet": None, "fleetUuid": None}]


async def test_a_mistake_in_a_selector_names_its_place(ctx: Context) -> None:
    error = await refusal(ctx, '{ agents(filter: {selector: "site in (a"}) { totalCount } }')
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert error["extensions"]["field"] == "filter.selector"
    assert error["extensions"]["position"] == 11


async def test_deleting_takes_more_than_changing(ctx: Context) -> None:
    agent = await make_agent(ctx)
    rename = 'mutation($u: UUID!) { updateAgent(uuid: $u, changes: {name: "x"}) { name } }'
    delete = "mutation($u: UUID!) { deleteAgent(uuid: $u) }"
    for role, text, is_allowed in (
        (Role.VIEWER, rename, False),
        (Role.MANAGER, rename, True),
        (Role.MANAGER, delete, False),
        (Role.ADMIN, delete, True),
    ):
        if is_allowed:
            await ask(as_role(ctx, role), text, u=str(agent.uuid))
        else:
            error = await refusal(as_role(ctx, role), text, u=str(agent.uuid))
            assert error["extensions"]["code"] == "FORBIDDEN"


async def _next(answers: Any) -> Any:
    async with asyncio.timeout(5):
        return await anext(answers)


async def test_following_an_agent_ends_when_it_is_deleted(ctx: Context) -> None:
    agent = await make_agent(ctx)
    async with follow(ctx, CHANGED, u=str(agent.uuid)) as answers:
        assert not (await _next(answers)).errors
        await register.delete_agent(ctx, agent.uuid)
        last = await _next(answers)
        assert last.errors[0].extensions["code"] == "NOT_FOUND"


async def test_followers_see_what_a_change_of_many_did(ctx: Context) -> None:
    person, _ = await as_person(ctx, role="owner")
    agent = await make_agent(person)
    async with follow(person, CHANGED, u=str(agent.uuid)) as answers:
        assert (await _next(answers)).data["agentChanged"]["tags"] == {}
        await Agent.of(ctx.tenant_id, id=agent.id).update(
            tags={"ring": "1"}, changed_at=ctx.clock.now()
        )
        await ctx.bus.publish(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, None))
        assert (await _next(answers)).data["agentChanged"]["tags"] == {"ring": "1"}
