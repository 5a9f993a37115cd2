"""What one operation may read in all, whatever its cost was taken to be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core.context import Context
from core.errors import LimitReached
from core.events import AgentChanged, agents_topic
from models.agents import Agent
from schema.reading_budget import FACTOR, READS_MAX, ReadingBudget
from tests.factories import make_agent
from tests.schema.asking import ask, follow, record, refusal


def small(ctx: Context, readings: int) -> Context:
    return replace(ctx, policy=replace(ctx.policy, series_points_max=readings // FACTOR))


async def written(ctx: Context, readings: int) -> str:
    agent = await make_agent(ctx)
    now = ctx.clock.now()
    points = [(now - timedelta(seconds=n + 1), float(n)) for n in range(readings)]
    await record(ctx, agent, "temperature", points)
    return str(agent.uuid)


async def test_the_fields_of_one_operation_share_what_it_may_read(ctx: Context) -> None:
    await written(ctx, 15)
    fields = [f"f{n}: series(select: {{}}) {{ values }}" for n in range(3)]
    two, three = (f"{{ {' '.join(fields[:n])} }}" for n in (2, 3))
    assert len((await ask(small(ctx, 40), two))["f1"][0]["values"]) == 15
    error = await refusal(small(ctx, 40), three)
    assert error["extensions"]["code"] == "LIMIT_REACHED"
    assert error["extensions"]["limit"] == 40
    assert len((await ask(small(ctx, 46), three))["f2"][0]["values"]) == 15


async def test_history_counts_what_it_was_asked_for(ctx: Context) -> None:
    uuid = await written(ctx, 3)
    text = "query($u: UUID!) { history(agentUuid: $u, limit: %d%s) { series { values } } }"
    assert await ask(small(ctx, 100), text % (100, ""), u=uuid)
    for arguments in (101, ""), (26, ', every: "1m"'):
        error = await refusal(small(ctx, 100), text % arguments, u=uuid)
        assert error["extensions"]["code"] == "LIMIT_REACHED"


async def test_newest_readings_count_too(ctx: Context) -> None:
    await written(ctx, 1)
    await written(ctx, 1)
    text = "{ agents { nodes { latest { value } } } }"
    assert await ask(small(ctx, 2), text)
    assert (await refusal(small(ctx, 0), text))["extensions"]["code"] == "LIMIT_REACHED"


async def test_few_reads_of_one_operation_run_at_a_time() -> None:
    budget, running, most = ReadingBudget(10), 0, 0

    async def read() -> None:
        nonlocal running, most
        async with budget.reading():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(read() for _ in range(6)))
    assert most == READS_MAX
    with pytest.raises(LimitReached):
        budget.take(11)
    with pytest.raises(LimitReached):
        await read()


async def test_each_answer_of_a_subscription_has_a_budget_of_its_own(ctx: Context) -> None:
    uuid = await written(ctx, 2)
    agent = await Agent.find_row(ctx.tenant_id, uuid=UUID(uuid))
    text = "subscription($u: UUID!) { agentChanged(agentUuid: $u) { latest { value } } }"
    async with follow(small(ctx, 2), text, u=uuid) as answers:
        await anext(answers)
        for _ in range(3):
            agent.changed_at = ctx.clock.now()
            await agent.save(update_fields=["changed_at"])
            event = AgentChanged(ctx.tenant_id, agent.uuid)
            await ctx.bus.publish(agents_topic(ctx.tenant_id), event)
            found = await anext(answers)
            assert not found.errors
            assert found.data
            assert len(found.data["agentChanged"]["latest"]) == 1
