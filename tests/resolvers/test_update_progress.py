"""Updates of agents' software: moved by what agents tell, by what they run, and by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from core.agent_updates import UpdateState, epoch_ms
from core.context import Context
from models.agent_updates import STEPS_MAX
from resolvers.agent_updates import (
    UpdateFilter,
    UpdateWish,
    get_agent_update,
    list_agent_updates,
    request_agent_update,
)
from resolvers.update_progress import sweep_agent_updates
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.resolvers.edge import system
from tests.resolvers.updates import WISH, audited, command_of, report, state_of, tell


@pytest.fixture
def at(ctx: Context, clock: ManualClock) -> Context:
    """The owner's context by a clock that moves when told to."""
    return replace(ctx, clock=clock)


async def test_goes_from_step_to_step_and_is_cleared_when_it_is_over(
    at: Context, clock: ManualClock
) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    steps: list[tuple[str, dict[str, Any], UpdateState]] = [
        ("update_command_received", {"version": "1.0.600"}, UpdateState.ACKNOWLEDGED),
        ("update_scheduled", {}, UpdateState.SCHEDULED),
        ("preflight_started", {}, UpdateState.IN_PROGRESS),
        ("update_scheduled", {}, UpdateState.IN_PROGRESS),
        ("update_rejected", {"reason": "update_in_progress"}, UpdateState.IN_PROGRESS),
    ]
    for type_, more, state in steps:
        clock.advance(seconds=1)
        await tell(at, agent, type_, **more)
        assert (await get_agent_update(at, update.id)).state is state
        assert await command_of(agent)
    await tell(at, agent, "update_completed")
    row = await get_agent_update(at, update.id)
    assert row.state is UpdateState.SUCCEEDED
    assert row.finished_at == clock.now()
    assert row.acknowledged_at is not None
    assert row.started_at is not None
    assert [step["type"] for step in row.progress][-2:] == ["update_rejected", "update_completed"]
    assert await command_of(agent) is None
    await tell(at, agent, "update_failed", reason="too late")
    assert await state_of(at, update) == (UpdateState.SUCCEEDED, None)
    assert await audited(at, agent) == ["agent_update_requested"] + ["agent_update_moved"] * 4


@pytest.mark.parametrize(
    ("type_", "reason", "state"),
    [
        ("update_skipped", "same_version", UpdateState.SUCCEEDED),
        ("update_skipped", "development_mode_no_script", UpdateState.SKIPPED),
        ("update_rejected", "downgrade_not_allowed", UpdateState.REJECTED),
        ("update_rejected", "invalid_signature", UpdateState.REJECTED),
        ("update_failed_verified", "another version runs", UpdateState.FAILED),
    ],
)
async def test_ends_with_the_reason_the_agent_gives(
    at: Context, type_: str, reason: str, state: UpdateState
) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    await tell(at, agent, type_, reason=reason, target_version="1.0.600")
    assert await state_of(at, update) == (state, reason)
    assert await command_of(agent) is None


async def test_a_message_that_comes_again_counts_once(at: Context) -> None:
    agent = await make_agent(at)
    first = await request_agent_update(at, agent.uuid, WISH)
    assert await tell(at, agent, "update_failed", msgId="the same", timestamp=2**50)
    await request_agent_update(at, agent.uuid, WISH)
    for retained in (True, False):
        assert not await tell(
            at, agent, "update_failed", msgId="the same", timestamp=2**50, retained=retained
        )
    again = (await list_agent_updates(at, UpdateFilter(agent.uuid), 1, None)).items[0]
    assert again.id != first.id
    assert again.state is UpdateState.PENDING


@pytest.mark.parametrize(
    ("more", "is_old", "retained"),
    [
        ({"version": "1.0.599"}, False, False),
        ({"target_version": "1.0.601"}, False, False),
        ({}, True, False),
        ({"version": "1.0.600"}, True, False),
        ({"version": "1.0.600"}, True, True),
    ],
    ids=["other version", "other target", "old", "old and of this version", "old and retained"],
)
async def test_what_is_of_another_update_moves_nothing(
    at: Context, clock: ManualClock, more: dict[str, Any], is_old: bool, retained: bool
) -> None:
    agent = await make_agent(at)
    clock.advance(seconds=60)
    update = await request_agent_update(at, agent.uuid, WISH)
    told = more | ({"timestamp": epoch_ms(clock.now()) - 30_000} if is_old else {})
    await tell(at, agent, "update_failed", retained=retained, **told)
    await tell(at, agent, "update_completed", retained=retained, **told)
    assert await state_of(at, update) == (UpdateState.PENDING, None)
    assert await command_of(agent)


async def test_an_answer_that_the_broker_kept_may_be_of_an_earlier_command(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    old = epoch_ms(at.clock.now()) - 86_400_000
    answer: dict[str, Any] = {"version": "1.0.600", "timestamp": old}
    await tell(at, agent, "update_command_received", retained=True, **answer)
    assert (await state_of(at, update))[0] is UpdateState.PENDING
    await tell(at, agent, "update_command_received", **answer)
    assert (await state_of(at, update))[0] is UpdateState.ACKNOWLEDGED


@pytest.mark.parametrize("days", [-1, 1], ids=["behind", "ahead"])
async def test_an_agent_whose_clock_is_a_day_off_is_understood(
    at: Context, clock: ManualClock, days: int
) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    off = days * 86_400_000
    now = epoch_ms(clock.now())
    await tell(at, agent, "update_command_received", version="1.0.600", timestamp=now + off)
    # Of an earlier attempt, by the agent's clock ten minutes ago.
    await tell(at, agent, "update_failed", timestamp=now + off - 600_000)
    assert (await state_of(at, update))[0] is UpdateState.ACKNOWLEDGED
    clock.advance(seconds=5)
    await tell(at, agent, "update_completed", timestamp=now + off + 5_000)
    assert (await state_of(at, update))[0] is UpdateState.SUCCEEDED


async def test_succeeds_by_the_version_that_a_live_report_shows(at: Context) -> None:
    agent = await make_agent(at, agent_version="1.0.547")
    update = await request_agent_update(at, agent.uuid, WISH)
    await report(at, agent, version=1, agent_version="1.0.547")
    await report(at, agent, agent_version="1.0.600")  # a replay: it has no version of a target
    assert (await state_of(at, update))[0] is UpdateState.PENDING
    await report(at, agent, version=1, agent_version="1.0.600")
    assert (await state_of(at, update))[0] is UpdateState.SUCCEEDED
    assert await command_of(agent) is None


async def test_the_latest_version_is_any_other_than_before(at: Context) -> None:
    agent = await make_agent(at, agent_version="1.0.547")
    update = await request_agent_update(at, agent.uuid, UpdateWish("latest"))
    await tell(at, agent, "update_started", version="1.0.700")
    await report(at, agent, version=1, agent_version="1.0.547")
    assert (await state_of(at, update))[0] is UpdateState.IN_PROGRESS
    await report(at, agent, version=1, agent_version="1.0.700")
    assert (await state_of(at, update))[0] is UpdateState.SUCCEEDED


async def test_time_runs_out(at: Context, clock: ManualClock) -> None:
    idle, busy = await make_agent(at), await make_agent(at)
    unbegun = await request_agent_update(at, idle.uuid, replace(WISH, expires_in_hours=1))
    begun = await request_agent_update(at, busy.uuid, replace(WISH, expires_in_hours=1))
    await tell(at, busy, "update_started")
    await sweep_agent_updates(system(at))
    assert await command_of(idle)
    clock.advance(seconds=29 * 60)
    await sweep_agent_updates(system(at))
    assert (await state_of(at, begun))[0] is UpdateState.IN_PROGRESS
    clock.advance(seconds=32 * 60)
    while await sweep_agent_updates(system(at)):
        pass
    assert await state_of(at, unbegun) == (UpdateState.EXPIRED, "not begun in time")
    assert (await state_of(at, begun))[0] is UpdateState.FAILED
    assert await command_of(idle) is None
    assert await command_of(busy) is None


async def test_what_an_agent_tells_is_kept_within_bounds(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    for number in range(STEPS_MAX + 3):
        await tell(at, agent, "update_overdue", reason=f"{number} " + "x" * 10_000)
    steps: Sequence[dict[str, Any]] = (await get_agent_update(at, update.id)).progress
    assert len(steps) == STEPS_MAX
    assert steps[-1]["reason"].startswith(f"{STEPS_MAX + 2} ")
    assert len(steps[-1]["reason"]) == 500
