"""The live tail: what comes next, nothing twice, nothing of others, and on from a cursor."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from core.callers import Caller, Role
from core.context import Context
from core.events import LogsArrived, logs_topic
from core.pubsub.base import QUEUE_EVENTS_MAX
from core.snapshots import Position, Snapshot
from models.agents import Agent
from models.connection import fetch
from resolvers.agent_logs import LogFilter
from resolvers.device_logs import upload_logs
from resolvers.fleets import FleetChanges, create_fleet
from resolvers.log_tail import REPLAY_LINES_MAX, LogTail, follow_logs
from schema.execution.requests import Answer
from tests.factories import make_agent, make_tenant
from tests.schema.asking import as_agent, follow

TAIL = """
subscription ($a: UUID, $f: UUID, $l: String, $s: [String!], $q: String, $after: String) {
  logTail(agentUuid: $a, fleetUuid: $f, minLevel: $l, services: $s, q: $q, after: $after) {
    cursor agentUuid missed lines { message level service }
  }
}
"""


NUMBERS = itertools.count()


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def log(ctx: Context, agent: Agent, *messages: str, **more: Any) -> None:
    body = json.dumps([{"message": message} | more for message in messages]).encode()
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, body)


async def batch(answers: AsyncIterator[Answer]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        answer = await anext(answers)
    assert not answer.errors, answer.errors
    assert answer.data is not None
    found: dict[str, Any] = json.loads(json.dumps(answer.data["logTail"], default=str))
    return found


async def heard(answers: AsyncIterator[Answer]) -> list[str]:
    return [line["message"] for line in (await batch(answers))["lines"]]


async def test_lines_come_as_they_are_stored_in_the_order_of_the_agent(
    ctx: Context, agent: Agent
) -> None:
    await log(ctx, agent, "before")
    async with follow(ctx, TAIL, a=str(agent.uuid)) as answers:
        # From the first answer on it is sure to follow; until then it is given something to tell.
        following = asyncio.ensure_future(heard(answers))
        while not following.done():
            await log(ctx, await make_agent(ctx), "of another")
            await log(ctx, agent, "one", "two", timestamp="2026-03-01T10:00:00Z", n=next(NUMBERS))
            await asyncio.wait({following}, timeout=0.05)
        assert following.result() == ["one", "two"]
        await log(ctx, agent, "three")
        while (told := await heard(answers)) != ["three"]:
            assert told == ["one", "two"]


async def test_a_cursor_gives_exactly_the_rest(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx)
    feed = await follow_logs(ctx, LogTail(LogFilter()))
    mark, nothing = await feed.prelude(None)
    assert [each async for each in nothing] == []
    messages = [f"{n}" for n in range(6)]
    for n, message in enumerate(messages):
        await log(ctx, (agent, other)[n % 2], message)
    _, opening = await feed.prelude(mark)
    batches = [each async for each in opening]
    assert [line.message for each in batches for line in each.lines] == messages
    for n, each in enumerate(batches):
        resumed = await follow_logs(ctx, LogTail(LogFilter()), each.cursor)
        _, rest = await resumed.prelude(None)
        assert [line.message async for one in rest for line in one.lines] == messages[n + 1 :]
    await log(ctx, agent, "late")
    resumed = await follow_logs(ctx, LogTail(LogFilter()), batches[2].cursor)
    _, rest = await resumed.prelude(None)
    told = [each async for each in rest]
    assert [line.message for one in told for line in one.lines] == [*messages[3:], "late"]
    resumed = await follow_logs(ctx, LogTail(LogFilter()), told[-1].cursor)
    assert [each async for each in (await resumed.prelude(None))[1]] == []


async def test_what_the_mark_shows_is_not_told_again(ctx: Context, agent: Agent) -> None:
    feed = await follow_logs(ctx, LogTail(LogFilter(), agent.uuid))
    before, _ = await feed.prelude(None)
    await log(ctx, agent, "a")
    mark, _ = await feed.prelude(None)
    await log(ctx, agent, "b")
    _, opening = await feed.prelude(before)
    first, second = [each async for each in opening]
    assert feed.beyond(first, mark) is None
    rest = feed.beyond(second, mark)
    assert rest is not None
    assert rest.lines == second.lines
    assert not feed.is_past(first, mark)
    after, _ = await feed.prelude(None)
    await log(ctx, agent, "c")
    _, opening = await feed.prelude(after)
    (third,) = [each async for each in opening]
    assert feed.is_past(third, mark)
    assert feed.key(third) == agent.uuid


async def test_each_condition_narrows(ctx: Context, agent: Agent) -> None:
    feed = await follow_logs(ctx, LogTail(LogFilter()))
    mark, _ = await feed.prelude(None)
    await log(ctx, agent, "pump is hot", "pump is cold", level="info", serviceName="plc")
    await log(ctx, agent, "pump is broken", level="error", serviceName="web")
    for wanted, count in (
        (LogFilter(min_level="warn"), 1),
        (LogFilter(services=["plc"]), 2),
        (LogFilter(text="pump -cold"), 2),
        (LogFilter(text="valve"), 0),
    ):
        _, rest = await (await follow_logs(ctx, LogTail(wanted))).prelude(mark)
        assert len([line async for each in rest for line in each.lines]) == count


async def test_too_many_lines_are_counted_as_missed(ctx: Context, agent: Agent) -> None:
    feed = await follow_logs(ctx, LogTail(LogFilter(), agent.uuid))
    mark, _ = await feed.prelude(None)
    await log(ctx, agent, *(["old"] * 300))
    await log(ctx, agent, *(f"{n}" for n in range(REPLAY_LINES_MAX - 10)))
    await log(ctx, agent, *(["new"] * 20))
    _, rest = await feed.prelude(mark)
    first, second = [each async for each in rest]
    assert (first.missed, second.missed) == (310, 0)
    assert [first.lines[0].message, second.lines[-1].message] == ["10", "new"]
    assert len(first.lines) + len(second.lines) == REPLAY_LINES_MAX


async def test_a_gap_in_the_bus_is_no_gap_in_the_tail(ctx: Context, agent: Agent) -> None:
    feed = await follow_logs(ctx, LogTail(LogFilter(), agent.uuid))
    async with feed.live() as batches:
        await log(ctx, agent, "one")
        nonsense = LogsArrived(ctx.tenant_id, ctx.ids.uuid(), 1, 1)
        for _ in range(QUEUE_EVENTS_MAX + 5):
            await ctx.bus.publish(logs_topic(ctx.tenant_id), nonsense)
        await log(ctx, agent, "two")
        async with asyncio.timeout(10):
            told = [line.message for _ in range(2) for line in (await anext(batches)).lines]
    assert told == ["one", "two"]


async def test_a_fleets_lines_are_those_of_its_agents(ctx: Context, agent: Agent) -> None:
    fleet = await create_fleet(ctx, FleetChanges(name="line 1"))
    member = await make_agent(ctx, fleet_id=fleet.id)
    feed = await follow_logs(ctx, LogTail(LogFilter(), fleet_id=fleet.id))
    mark, _ = await feed.prelude(None)
    await log(ctx, agent, "of no fleet")
    await log(ctx, member, "of the fleet")
    _, rest = await feed.prelude(mark)
    assert [line.message async for each in rest for line in each.lines] == ["of the fleet"]


async def test_what_cannot_be_followed_is_refused(ctx: Context, agent: Agent) -> None:
    stranger = await make_tenant(ctx.clock, ctx.ids)
    other = replace(ctx, caller=Caller(Role.OWNER, stranger.id, user_id=ctx.ids.uuid()))
    uuid = str(agent.uuid)
    (now,) = await fetch("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xmax")
    ahead = now["xmax"] + 10**6
    foreign = Position(Snapshot(ahead, ahead)).encode()
    for who, variables, said in (
        (other, {"a": uuid}, "NOT_FOUND"),
        (ctx, {"f": str(ctx.ids.uuid())}, "NOT_FOUND"),
        (ctx, {"a": uuid, "f": uuid}, "fleetUuid"),
        (ctx, {"a": uuid, "l": "loud"}, "minLevel"),
        (ctx, {"a": uuid, "after": "x"}, "after"),
        (ctx, {"a": uuid, "after": foreign}, "of another database"),
        (as_agent(ctx, agent), {"a": uuid}, "FORBIDDEN"),
    ):
        async with follow(who, TAIL, **variables) as answers, asyncio.timeout(10):
            refused = await anext(answers)
        assert refused.errors, said
        assert said in json.dumps(refused.body(), default=str)


async def test_another_tenants_lines_are_not_told(ctx: Context, agent: Agent) -> None:
    stranger = await make_tenant(ctx.clock, ctx.ids)
    other = replace(ctx, caller=Caller(Role.OWNER, stranger.id, user_id=ctx.ids.uuid()))
    feed = await follow_logs(other, LogTail(LogFilter()))
    mark, _ = await feed.prelude(None)
    await log(ctx, agent, "secret")
    assert [each async for each in (await feed.prelude(mark))[1]] == []
