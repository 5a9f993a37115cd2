"""After a gap in the bus, who follows updates hears of every one that may have moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from core.agent_updates import UpdateState
from core.context import Context
from core.events import AgentUpdateChanged
from core.pubsub.base import RESYNC, Resync
from models.agent_updates import AgentUpdate
from resolvers.agent_updates import request_agent_updates
from schema.agent_updates import AgentUpdateFeed
from tests.factories import make_agent
from tests.resolvers.updates import WISH


async def gap() -> AsyncIterator[AgentUpdateChanged | Resync]:
    yield RESYNC


@pytest.mark.parametrize("size", [1, 2, 5, 500])
async def test_a_gap_is_made_good_page_by_page(
    ctx: Context, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.agent_updates.PAGE_SIZE_MAX", size)
    agents = [await make_agent(ctx, name=f"gateway-{n}") for n in range(6)]
    # In one go, so that all are of one moment.
    made = (await request_agent_updates(ctx, [agent.uuid for agent in agents], WISH)).updates
    long_ago = ctx.clock.now() - timedelta(hours=1)
    over = AgentUpdate.of(ctx.tenant_id, id=made[0].id)
    await over.update(state=UpdateState.CANCELLED, finished_at=long_ago)
    heard = [row.id async for row in AgentUpdateFeed(ctx, None)._moved(gap())]
    assert len(heard) == 5
    assert set(heard) == {update.id for update in made[1:]}
    own = AgentUpdateFeed(ctx, agents[3].uuid)
    assert [row.id async for row in own._moved(gap())] == [made[3].id]
