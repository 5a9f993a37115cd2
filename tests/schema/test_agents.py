from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from core.callers import Role
from core.context import Context
from core.events import AgentChanged, agents_topic
from core.pubsub.memory import MemoryPubSub
from core.reading_store import ReadingStore
from core.readings import LatestReading
from models.current_states import CurrentState
from models.target_states import TargetState
from tests.factories import make_agent
from tests.schema.asking import as_agent, as_nobody, as_role, ask, follow, record, refusal

LIST = """
query($first: Int! = 50, $after: String, $filter: AgentFilter) {
  agents(first: $first, after: $after, filter: $filter) {
    totalCount
    pageInfo { hasNextPage endCursor }
    edges { cursor node { name } }
    nodes { name }
  }
}
"""


async def test_pages_visit_each_agent_once_in_order_of_name(ctx: Context) -> None:
    for name in ("c", "a", "b", "a", "d"):
        await make_agent(ctx, name=name)
    names: list[str] = []
    after = None
    while True:
        page = (await ask(ctx, LIST, first=2, after=after))["agents"]
        assert page["totalCount"] == 5
        assert page["nodes"] == [edge["node"] for edge in page["edges"]]
        names += [node["name"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert names == ["a", "a", "b", "c", "d"]


async def test_filters_by_presence_activity_and_text(ctx: Context) -> None:
    await make_agent(ctx, name="here", is_online=True)
    await make_agent(ctx, name="away")
    await make_agent(ctx, name="locked", is_active=False)

    async def names(**filter_: object) -> list[str]:
        page = (await ask(ctx, LIST, filter=filter_))["agents"]
        return [node["name"] for node in page["nodes"]]

    assert await names() == ["away", "here", "locked"]
    assert await names(online=True) == ["here"]
    assert await names(activity="active") == ["away", "here"]
    assert await names(activity="inactive") == ["locked"]
    assert await names(text="AWA") == ["away"]


async def test_refuses_pages_that_are_too_long(ctx: Context) -> None:
    error = await refusal(ctx, LIST, first=501)
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert error["extensions"]["limit"] == 500


async def test_numbered_pages_count_pages(ctx: Context) -> None:
    for name in "abc":
        await make_agent(ctx, name=name)
    text = (
        "{ agentPage(page: 2, limit: 2) { nodes { name } pagination { page limit total pages } } }"
    )
    page = (await ask(ctx, text))["agentPage"]
    assert page == {
        "nodes": [{"name": "c"}],
        "pagination": {"page": 2, "limit": 2, "total": 3, "pages": 2},
    }


async def test_tells_what_an_agent_is_and_last_reported(ctx: Context) -> None:
    agent = await make_agent(
        ctx, name="press", is_online=True, agent_version="1.2", cpu_usage=12.5, os_version="Debian"
    )
    await TargetState.create(
        tenant_id=ctx.tenant_id,
        agent_id=agent.id,
        version=3,
        apps={"1": {"appId": 1}},
        config={"a": 1},
        etag="e",
        updated_at=ctx.clock.now(),
    )
    await CurrentState.create(
        tenant_id=ctx.tenant_id, agent_id=agent.id, version=2, apps={}, reported_at=ctx.clock.now()
    )
    text = """
    query($u: UUID!) { agent(uuid: $u) {
      name status activity isOnline version osVersion provisioningState
      cpuUsage metrics { cpuUsage memoryUsage }
      targetState { version apps config } currentState { version apps config }
      targetAppsCount currentAppsCount
    } }"""
    assert (await ask(ctx, text, u=str(agent.uuid)))["agent"] == {
        "name": "press",
        "status": "online",
        "activity": "active",
        "isOnline": True,
        "version": "1.2",
        "osVersion": "Debian",
        "provisioningState": "provisioned",
        "cpuUsage": 12.5,
        "metrics": {"cpuUsage": 12.5, "memoryUsage": None},
        "targetState": {"version": 3, "apps": {"1": {"appId": 1}}, "config": {"a": 1}},
        "currentState": {"version": 2, "apps": {}, "config": None},
        "targetAppsCount": 1,
        "currentAppsCount": 0,
    }


async def test_an_agent_without_states_has_an_empty_target_and_no_current_one(ctx: Context) -> None:
    agent = await make_agent(ctx)
    text = """query($u: UUID!) { agent(uuid: $u) {
      targetState { agentUuid version apps } currentState { version } } }"""
    assert (await ask(ctx, text, u=str(agent.uuid)))["agent"] == {
        "targetState": {"agentUuid": str(agent.uuid), "version": 1, "apps": {}},
        "currentState": None,
    }


async def test_no_secret_of_an_agent_is_part_of_the_contract(ctx: Context) -> None:
    data = await ask(ctx, '{ __type(name: "Agent") { fields { name } } }')
    names = " ".join(field["name"].lower() for field in data["__type"]["fields"])
    assert "key" not in names
    assert "challenge" not in names
    assert "hash" not in names


@dataclass
class _CountingStore:
    """Counts the questions that reach the store of readings."""

    inner: ReadingStore
    asked: int = 0

    async def latest(
        self, tenant_id: int, agent_ids: Sequence[int], metrics: Sequence[str] | None = None
    ) -> list[LatestReading]:
        self.asked += 1
        return await self.inner.latest(tenant_id, agent_ids, metrics)


async def test_a_list_asks_the_database_as_often_for_ten_agents_as_for_one(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    text = """{ agents { nodes {
      name hot: latest(metrics: ["temp"]) { value } latest { value }
      targetState { version } currentState { version } targetAppsCount
    } } }"""

    async def statements() -> tuple[int, int]:
        store = _CountingStore(ctx.readings)
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            watched = replace(ctx, readings=store)  # type: ignore[arg-type]  # only `latest`
            await ask(watched, text)
        return len([r for r in caplog.records if r.name == "tortoise.db_client"]), store.asked

    await make_agent(ctx, name="first")
    alone = await statements()
    for number in range(9):
        agent = await make_agent(ctx, name=f"agent {number}")
        await record(ctx, agent, "temp", [(ctx.clock.now(), float(number))])
    assert await statements() == alone
    assert alone == (2, 2)  # by the ORM: target states, current states; latest twice


async def test_newest_readings_are_those_of_the_agent_and_metric(ctx: Context) -> None:
    one, other = await make_agent(ctx, name="one"), await make_agent(ctx, name="two")
    now = ctx.clock.now()
    await record(ctx, one, "temp", [(now - timedelta(seconds=2), 1.0), (now, 2.5)])
    await record(ctx, one, "state", [(now, "running")], unit="")
    await record(ctx, other, "temp", [(now, 9.0)])
    text = """query($m: [String!]) { agents { nodes { name latest(metrics: $m) {
      metric value unit quality source { device } } } } }"""
    nodes = (await ask(ctx, text))["agents"]["nodes"]
    press = {"device": "press"}
    assert nodes[0]["latest"] == [
        {"metric": "state", "value": "running", "unit": None, "quality": "good", "source": press},
        {"metric": "temp", "value": 2.5, "unit": "°C", "quality": "good", "source": press},
    ]
    only = (await ask(ctx, text, m=["temp"]))["agents"]["nodes"]
    assert [[each["value"] for each in node["latest"]] for node in only] == [[2.5], [9.0]]


async def test_another_tenants_agent_is_not_there(ctx: Context) -> None:
    agent = await make_agent(ctx, tenant_id=ctx.tenant_id + 1_000_000)
    error = await refusal(ctx, "query($u: UUID!) { agent(uuid: $u) { name } }", u=str(agent.uuid))
    assert error["extensions"]["code"] == "NOT_FOUND"


async def test_an_agent_sees_itself_and_no_readings(ctx: Context) -> None:
    agent = await make_agent(ctx)
    own = as_agent(ctx, agent)
    text = "query($u: UUID!) { agent(uuid: $u) { name latest { value } } }"
    error = await refusal(own, text, u=str(agent.uuid))
    assert error["extensions"] == {
        "code": "FORBIDDEN",
        "permission": "data:read",
        "fields": ["Agent.latest"],
    }
    text = "query($u: UUID!) { agent(uuid: $u) { name targetState { version } } }"
    assert (await ask(own, text, u=str(agent.uuid)))["agent"]["targetState"] == {"version": 1}


CHANGED = "subscription($u: UUID) { agentChanged(agentUuid: $u) { name } }"


async def _names(results: object, count: int) -> list[str]:
    async with asyncio.timeout(5):
        found = [await anext(results) for _ in range(count)]  # type: ignore[call-overload]
    assert all(not each.errors for each in found)
    return [each.data["agentChanged"]["name"] for each in found]


async def test_following_one_agent_starts_with_it_and_skips_the_others(ctx: Context) -> None:
    agent, other = await make_agent(ctx, name="mine"), await make_agent(ctx, name="other")
    async with follow(ctx, CHANGED, u=str(agent.uuid)) as results:
        assert await _names(results, 1) == ["mine"]
        await _change(ctx, other.uuid)
        agent.name = "renamed"
        await agent.save()
        await _change(ctx, agent.uuid)
        assert await _names(results, 1) == ["renamed"]


async def test_following_all_agents_starts_with_the_first_change(ctx: Context) -> None:
    agent = await make_agent(ctx, name="first")
    async with follow(ctx, CHANGED) as results:
        arriving = asyncio.ensure_future(_names(results, 1))
        await _listening(ctx)
        await _change(ctx, ctx.ids.uuid())  # of an agent that is gone meanwhile
        await _change(ctx, agent.uuid)
        assert await arriving == ["first"]


async def test_after_a_gap_agents_that_changed_meanwhile_are_told(ctx: Context) -> None:
    bus = MemoryPubSub()
    ctx = replace(ctx, bus=bus)
    long_ago = ctx.clock.now() - timedelta(days=1)
    await make_agent(ctx, name="a quiet one", changed_at=long_ago)
    busy = await make_agent(ctx, name="busy", changed_at=long_ago)
    async with follow(ctx, CHANGED) as results:
        arriving = asyncio.ensure_future(_names(results, 1))
        await _listening(ctx)
        busy.changed_at = ctx.clock.now()
        await busy.save()
        bus._fanout.resync()
        assert await arriving == ["busy"]


async def test_nobody_may_follow_agents(ctx: Context) -> None:
    for caller in (as_nobody(ctx), as_role(ctx, Role.SYSTEM)):
        async with follow(caller, CHANGED) as results:
            result = await anext(results)
        assert result.errors


async def _change(ctx: Context, uuid: object) -> None:
    event = AgentChanged(ctx.tenant_id, uuid)  # type: ignore[arg-type]  # a UUID
    await ctx.bus.publish(agents_topic(ctx.tenant_id), event)


async def _listening(ctx: Context) -> None:
    inner: Any = getattr(ctx.bus, "_inner", ctx.bus)
    async with asyncio.timeout(5):
        while agents_topic(ctx.tenant_id).name not in inner._fanout.topics:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
