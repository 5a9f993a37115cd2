"""Groups on the real schema: one resolve and one encode per event, private beginnings."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.callers import Role
from core.context import Context
from core.events import AgentChanged, agents_topic
from core.live import LiveFilter
from models.agents import Agent
from models.timeseries.listeners import Listener
from models.timeseries.live import POLL_SECONDS_MAX, JournalHub
from schema.execution import groups
from schema.execution.requests import Refused
from tests.factories import make_agent, make_tenant
from tests.schema.asking import as_role, record
from tests.schema.execution.members import Counting, Recorder, join, live, until

READINGS = """subscription($u: UUID, $metrics: [String!], $hz: Float, $after: String) {
  readings(agentUuid: $u, metrics: $metrics, maxHz: $hz, after: $after) {
    cursor metric values
  }
}"""
CHANGED = "subscription($u: UUID) { agentChanged(agentUuid: $u) { uuid name } }"


async def put(ctx: Context, agent: Agent, *values: float, metric: str = "temp") -> None:
    """Store readings, a second apart, in one batch: the value is the second."""
    start = ctx.clock.now().replace(microsecond=0) - timedelta(hours=1)
    await record(ctx, agent, metric, [(start + timedelta(seconds=v), v) for v in values])


def values(member: Recorder) -> list[Any]:
    return [value for batch in member.data("readings") for value in batch["values"]]


async def test_fifty_members_cost_one_resolve_and_one_encode_per_event(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    members = [Recorder() for _ in range(50)]
    counting = Counting()
    async with live(counting.encode) as subscriptions, counting.counted():
        for member in members:
            await join(subscriptions, ctx, READINGS, member, u=str(agent.uuid))
        assert subscriptions.group_count == 1
        await until(lambda: all(len(member.payloads) == 1 for member in members))
        counting.resolved = counting.encoded = 0
        for at in range(1, 6):
            await put(ctx, agent, at)
            await until(lambda at=at: all(values(m)[-1] == at for m in members))  # type: ignore[misc]
        assert (counting.resolved, counting.encoded) == (5, 5)
        first = members[0].payloads[-1]
        assert all(member.payloads[-1] is first for member in members)
    assert all(values(member) == [0, 1, 2, 3, 4, 5] for member in members)


async def test_two_tenants_and_two_roles_never_share(ctx: Context) -> None:
    other = replace(
        ctx, caller=replace(ctx.caller, tenant_id=(await make_tenant(ctx.clock, ctx.ids)).id)
    )
    agent = await make_agent(ctx)
    mine, viewer, theirs = Recorder(), Recorder(), Recorder()
    async with live() as subscriptions:
        await join(subscriptions, ctx, READINGS, mine)
        await join(subscriptions, as_role(ctx, Role.VIEWER), READINGS, viewer)
        await join(subscriptions, other, READINGS, theirs)
        assert subscriptions.group_count == 3
        await listening(ctx, 3)
        await put(ctx, agent, 1)
        await until(lambda: values(mine) == values(viewer) == [1])
    assert theirs.payloads == []


async def test_who_joins_later_and_who_resumes_get_their_own_beginning(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    first, late, resuming = Recorder(), Recorder(), Recorder()
    async with live() as subscriptions:
        await join(subscriptions, ctx, READINGS, first)
        await until(lambda: values(first) == [0])
        await put(ctx, agent, 1)
        await put(ctx, agent, 2)
        await until(lambda: values(first) == [0, 1, 2])
        cursor = first.data("readings")[0]["cursor"]
        await join(subscriptions, ctx, READINGS, late)
        await join(subscriptions, ctx, READINGS, resuming, after=cursor)
        assert subscriptions.group_count == 1
        await until(lambda: values(late) == [2] and values(resuming) == [1, 2])
        await put(ctx, agent, 3)
        await until(lambda: all(values(m)[-1:] == [3] for m in (first, late, resuming)))
    assert (values(first), values(late), values(resuming)) == ([0, 1, 2, 3], [2, 3], [1, 2, 3])


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"after": "nonsense"}, "INVALID_INPUT"),
        ({"hz": 1_000.0}, "INVALID_INPUT"),
        ({"u": str(UUID(int=1))}, "NOT_FOUND"),
    ],
)
async def test_what_is_wrong_at_once_is_refused_and_leaves_nothing(
    ctx: Context, variables: dict[str, object], code: str
) -> None:
    async with live() as subscriptions:
        with pytest.raises(Refused) as refused:
            await join(subscriptions, ctx, READINGS, Recorder(), **variables)
        assert subscriptions.group_count == 0
    (error,) = refused.value.answer.errors
    assert error.extensions
    assert error.extensions["code"] == code


@pytest.mark.slow
async def test_after_the_last_member_nothing_runs_and_nothing_is_asked(
    ctx: Context, pool: asyncpg.Pool
) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    before = asyncio.all_tasks()
    members = [Recorder() for _ in range(3)]
    async with live() as subscriptions:
        tickets = [
            await join(subscriptions, ctx, READINGS, member, hz=hz)
            for member, hz in zip(members, (None, None, 50.0), strict=True)
        ]
        tickets.append(await join(subscriptions, ctx, CHANGED, Recorder()))
        await until(lambda: all(member.payloads for member in members))
        assert asyncio.all_tasks() > before
        async with pool.acquire() as conn:
            assert await asked_meanwhile(conn) > 0
            for ticket in tickets:
                await ticket.close()
            assert subscriptions.group_count == 0
            assert asyncio.all_tasks() == before
            await put(ctx, agent, 1)
            await ctx.bus.publish(
                agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid)
            )
            assert await asked_meanwhile(conn) == 0
    assert all(values(member) == [0] for member in members)


async def asked_meanwhile(conn: Any) -> int:
    """Return how many other connections began a statement while a hub would look twice."""
    since = await conn.fetchval("select clock_timestamp()")
    await asyncio.sleep(2 * POLL_SECONDS_MAX)
    return int(
        await conn.fetchval(
            "select count(*) from pg_stat_activity where backend_type = 'client backend'"
            " and datname = current_database() and pid <> pg_backend_pid() and query_start > $1",
            since,
        )
    )


async def test_a_member_may_leave_while_its_beginning_is_on_its_way(ctx: Context) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    before = asyncio.all_tasks()
    member = Recorder()
    member.is_awake = False
    async with live() as subscriptions:
        ticket = await join(subscriptions, ctx, READINGS, member)
        await asyncio.sleep(0.1)
        await ticket.close()
        await ticket.close()
        assert asyncio.all_tasks() == before
    assert member.payloads == []


async def test_a_member_whose_source_overhears_its_leaving_has_left_all_the_same(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await put(ctx, await make_agent(ctx), 0)
    asked, newest = asyncio.Event(), JournalHub.newest

    async def deaf(*args: Any) -> Any:
        asked.set()
        with suppress(asyncio.CancelledError):  # as asyncio.wait_for may do
            await asyncio.Event().wait()
        return await newest(*args)

    stays, leaves = Recorder(), Recorder()
    async with live() as subscriptions, asyncio.timeout(10):
        staying = await join(subscriptions, ctx, READINGS, stays)
        await until(lambda: values(stays) == [0])
        monkeypatch.setattr(JournalHub, "newest", deaf)
        leaving = await join(subscriptions, ctx, READINGS, leaves)
        await asked.wait()
        await leaving.close()
        await staying.close()
        assert subscriptions.group_count == 0
    assert (leaves.payloads, caplog.messages) == ([], [])


async def test_leaving_twice_at_once_still_ends_what_runs(ctx: Context) -> None:
    assert isinstance(ctx.live, JournalHub)
    await put(ctx, await make_agent(ctx), 0)
    before = asyncio.all_tasks()
    member = Recorder()
    async with live() as subscriptions:
        ticket = await join(subscriptions, ctx, READINGS, member)
        await until(lambda: bool(member.payloads))
        async with ctx.live._starting:  # the source has to wait while it ends
            leaving = []
            for _ in range(2):
                leaving.append(asyncio.create_task(ticket.close()))
                await asyncio.sleep(0.05)
        await asyncio.gather(*leaving)
        assert ctx.live.listener_count == 0
        assert asyncio.all_tasks() == before


async def test_a_member_asleep_through_its_beginning_wakes_to_all_of_it(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    awake, member = Recorder(), Recorder()
    member.is_awake = False
    async with live(queue_events=3) as subscriptions:
        await join(subscriptions, ctx, READINGS, awake)
        ticket = await join(subscriptions, ctx, READINGS, member)
        await until(lambda: values(awake) == [0])
        for at in range(1, 11):
            await put(ctx, agent, at)
            await until(lambda at=at: values(awake)[-1] == at)  # type: ignore[misc]
        assert member.payloads == []
        member.is_awake = True
        ticket.flush()
        await until(lambda: len(values(member)) == 11)
        await put(ctx, agent, 11)
        await until(lambda: len(values(member)) == 12)
    assert values(member) == list(range(12))


async def test_a_source_that_fails_tells_every_member_and_ends(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await make_agent(ctx)
    await put(ctx, agent, 0)
    members = [Recorder() for _ in range(3)]
    async with live() as subscriptions:
        for member in members:
            await join(subscriptions, ctx, READINGS, member)
        await until(lambda: all(member.payloads for member in members))
        monkeypatch.setattr(groups.Group, "_settle", failing)
        monkeypatch.setattr(groups.Group, "_hand_out", failing)
        await put(ctx, agent, 1)
        await until(lambda: all(member.ends == ["complete"] for member in members))
        assert subscriptions.group_count == 0
        last = [member.answers[-1] for member in members]
    assert all(answer["data"] is None for answer in last)
    assert last[0]["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in str(last)


def failing(*_: object) -> None:
    raise RuntimeError("a secret")


async def test_an_agent_begins_as_it_is_and_no_older_state_follows(ctx: Context) -> None:
    agent = await make_agent(ctx, name="one")
    first, second = Recorder(), Recorder()
    async with live() as subscriptions:
        await join(subscriptions, ctx, CHANGED, first, u=str(agent.uuid))
        await until(lambda: len(first.payloads) == 1)
        agent.name, agent.changed_at = "two", ctx.clock.now()
        await agent.save()
        await ctx.bus.publish(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid))
        await join(subscriptions, ctx, CHANGED, second, u=str(agent.uuid))
        assert subscriptions.group_count == 1
        await until(lambda: len(first.payloads) == 2 and bool(second.payloads))
    assert [each["name"] for each in first.data("agentChanged")] == ["one", "two"]
    assert {each["name"] for each in second.data("agentChanged")} == {"two"}


async def test_a_hundred_feeds_of_one_tenant_wake_only_whom_a_look_concerns(ctx: Context) -> None:
    agents = [await make_agent(ctx) for _ in range(20)]
    assert isinstance(ctx.live, JournalHub)
    offered: list[int | None] = []
    original = Listener.offer

    def counting(listener: Listener, news: Any) -> None:
        offered.append(listener.wanted.agent_id)
        original(listener, news)

    Listener.offer = counting  # type: ignore[assignment,method-assign]
    try:
        async with live() as subscriptions:
            members = [Recorder() for _ in agents]
            for agent, member in zip(agents, members, strict=True):
                await join(subscriptions, ctx, READINGS, member, u=str(agent.uuid))
            await listening(ctx, len(agents))
            await put(ctx, agents[3], 1)
            await until(lambda: values(members[3]) == [1])
    finally:
        Listener.offer = original  # type: ignore[method-assign]
    assert offered == [agents[3].id]


async def listening(ctx: Context, count: int) -> None:
    assert isinstance(ctx.live, JournalHub)
    hub = ctx.live
    await until(lambda: hub.listener_count == count)
    await hub.newest(ctx.tenant_id, LiveFilter())  # by then each has begun its own
    await asyncio.sleep(0.05)
