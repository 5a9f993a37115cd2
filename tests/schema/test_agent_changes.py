from __future__ import annotations

from datetime import timedelta

from core.context import Context
from schema.agent_changes import CLOCKS_APART, AgentFeed, Seen
from tests.factories import make_agent


async def test_no_older_state_follows_a_newer_one_and_one_of_the_same_moment_does(
    ctx: Context,
) -> None:
    agent, other = await make_agent(ctx), await make_agent(ctx)
    feed = AgentFeed(ctx, None)
    told = agent.changed_at
    mark = Seen(told, {agent.uuid: told})
    assert feed.beyond(agent, mark) is agent
    assert feed.beyond(other, mark) is other
    agent.changed_at = told - timedelta(microseconds=1)
    assert feed.beyond(agent, mark) is None
    assert not feed.is_past(agent, mark)
    agent.changed_at = told + CLOCKS_APART + timedelta(seconds=1)
    assert feed.beyond(agent, mark) is agent
    assert feed.is_past(agent, mark)


async def test_a_feed_that_lost_touch_reads_what_changed_since(ctx: Context) -> None:
    now = ctx.clock.now()
    await make_agent(ctx, changed_at=now - timedelta(days=1))
    changed = await make_agent(ctx, changed_at=now)
    mark, rows = await AgentFeed(ctx, None).prelude(Seen(now, {}))
    assert [row.uuid async for row in rows] == [changed.uuid]
    assert mark.changed_at == {changed.uuid: now}
