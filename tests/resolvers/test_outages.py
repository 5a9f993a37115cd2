"""An outage of the API is noticed once, by the gap between two beats, and healed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.context import Context
from models.agents import Agent
from models.heartbeats import Heartbeat
from resolvers.outages import OUTAGE_SECONDS, PART, beat
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import system


async def wants_drop(agent: Agent) -> bool:
    row = await Agent.find_row(agent.tenant_id, uuid=agent.uuid)
    return row.session_drop_requested_at is not None


@pytest.mark.parametrize(("gap_seconds", "is_outage"), [(OUTAGE_SECONDS + 1, True), (6, False)])
async def test_a_gap_while_running_asks_once_for_sessions_to_be_dropped(
    ctx: Context, gap_seconds: float, is_outage: bool
) -> None:
    clock = ManualClock(ctx.clock.now())
    now = replace(system(ctx), clock=clock)
    await Heartbeat.filter(name=PART).delete()
    agent = await make_agent(ctx, last_seen_at=clock.now(), is_online=True)
    assert await beat(now) is None
    clock.advance(seconds=gap_seconds)
    assert await beat(now) == (timedelta(seconds=gap_seconds) if is_outage else None)
    assert await wants_drop(agent) == is_outage
    await Agent.of(agent.tenant_id, uuid=agent.uuid).update(session_drop_requested_at=None)
    assert await beat(now) is None, "the gap was healed already"
    assert not await wants_drop(agent)
