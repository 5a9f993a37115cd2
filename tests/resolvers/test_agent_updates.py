"""Updates of agents' software: asked for, one at a time, and called off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.agent_updates import UpdateState, signature_of
from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound
from models.agent_updates import AgentUpdate
from models.target_states import TargetState
from resolvers.agent_updates import (
    UpdateFilter,
    UpdateWish,
    cancel_agent_update,
    get_agent_update,
    list_agent_updates,
    request_agent_update,
    request_agent_updates,
)
from resolvers.register import delete_agent
from tests.doubles import ManualClock
from tests.factories import make_agent, make_tenant
from tests.resolvers.updates import WISH, audited, command_of, state_of, tell


@pytest.fixture
def at(ctx: Context, clock: ManualClock) -> Context:
    """The owner's context by a clock that moves when told to."""
    return replace(ctx, clock=clock)


async def test_a_command_waits_for_the_broker_unsigned_without_a_secret(at: Context) -> None:
    agent = await make_agent(at, agent_version="1.0.547")
    update = await request_agent_update(at, agent.uuid, WISH)
    assert (update.state, update.from_version) == (UpdateState.PENDING, "1.0.547")
    command = await command_of(agent)
    assert command["version"] == "1.0.600"
    assert command["expires_at"] - command["issued_at"] == 24 * 3_600_000
    assert "signature" not in command
    assert await audited(at, agent) == ["agent_update_requested"]


async def test_a_command_is_signed_with_the_secret(at: Context) -> None:
    secret = "a secret that agents share"
    signing = replace(at, policy=replace(at.policy, agent_update_secret=secret))
    agent = await make_agent(at)
    later = at.clock.now() + timedelta(hours=2)
    await request_agent_update(signing, agent.uuid, replace(WISH, scheduled_at=later))
    command = await command_of(agent)
    assert command["signature"] == signature_of(command, secret)
    assert command["expires_at"] - command["issued_at"] == 26 * 3_600_000
    assert secret not in repr(signing.policy)


async def test_one_at_a_time_unless_told_to_replace_what_has_not_begun(at: Context) -> None:
    agent = await make_agent(at)
    first = await request_agent_update(at, agent.uuid, WISH)
    with pytest.raises(Conflict, match=r"1\.0\.600"):
        await request_agent_update(at, agent.uuid, UpdateWish("1.0.601"))
    second = await request_agent_update(at, agent.uuid, UpdateWish("1.0.601", replaces=True))
    assert (await state_of(at, first))[0] is UpdateState.CANCELLED
    assert (await command_of(agent))["version"] == "1.0.601"
    await tell(at, agent, "update_started")
    with pytest.raises(Conflict, match="begun"):
        await request_agent_update(at, agent.uuid, UpdateWish("1.0.602", replaces=True))
    assert (await state_of(at, second))[0] is UpdateState.IN_PROGRESS


async def test_many_agents_at_once_each_refusal_named(at: Context) -> None:
    free, busy = await make_agent(at), await make_agent(at)
    away = await make_agent(at, is_active=False)
    await request_agent_update(at, busy.uuid, WISH)
    unknown = at.ids.uuid()
    made = await request_agent_updates(
        at, [unknown, busy.uuid, free.uuid, away.uuid, free.uuid], WISH
    )
    assert [update.agent_uuid for update in made.updates] == [free.uuid]
    assert {refusal.agent_uuid for refusal in made.refused} == {unknown, busy.uuid, away.uuid}
    with pytest.raises(InvalidInput, match="agentUuids"):
        await request_agent_updates(at, [], WISH)


async def test_called_off_the_command_is_taken_back(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    with pytest.raises(NotFound):
        await cancel_agent_update(at, update.id, at.ids.uuid())
    assert (await cancel_agent_update(at, update.id)).state is UpdateState.CANCELLED
    assert await command_of(agent) is None
    with pytest.raises(Conflict, match="over"):
        await cancel_agent_update(at, update.id)
    assert await audited(at, agent) == ["agent_update_requested", "agent_update_cancelled"]


async def test_what_has_begun_is_not_called_off(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    await tell(at, agent, "update_started")
    with pytest.raises(Conflict, match="begun"):
        await cancel_agent_update(at, update.id)


async def test_a_declared_update_stands_in_the_target_state_until_it_is_over(at: Context) -> None:
    agent = await make_agent(at)

    async def declared() -> object:
        row = await TargetState.of(at.tenant_id, agent_id=agent.id).first()
        return row.config.get("agent") if row else None

    await request_agent_update(at, agent.uuid, WISH)
    assert await declared() is None  # by the message alone, unless asked
    wish = replace(WISH, is_declared=True, replaces=True)
    await request_agent_update(at, agent.uuid, wish)
    wish = replace(wish, scheduled_at=at.clock.now() + timedelta(days=1))
    await request_agent_update(at, agent.uuid, wish)
    found = await declared()
    assert isinstance(found, dict)
    assert {"version", "update_scheduled_at"} < set(found)
    await request_agent_update(at, agent.uuid, replace(wish, scheduled_at=None))
    found = await declared()
    assert isinstance(found, dict)
    assert "update_scheduled_at" not in found
    await request_agent_update(at, agent.uuid, replace(WISH, replaces=True))
    assert await declared() is None
    await request_agent_update(at, agent.uuid, wish)
    assert await declared()
    await tell(at, agent, "update_completed")
    assert await declared() is None


@pytest.mark.parametrize(
    "wish",
    [
        UpdateWish("1.0"),
        UpdateWish("1.0.600", expires_in_hours=0),
        UpdateWish("1.0.600", expires_in_hours=721),
    ],
    ids=["version", "too short", "too long"],
)
async def test_a_wish_that_makes_no_sense_is_refused(at: Context, wish: UpdateWish) -> None:
    agent = await make_agent(at)
    with pytest.raises(InvalidInput):
        await request_agent_update(at, agent.uuid, wish)
    assert await command_of(agent) is None


@pytest.mark.parametrize("days", [-1, 400])
async def test_a_moment_that_is_over_or_too_far_is_refused(at: Context, days: int) -> None:
    agent = await make_agent(at)
    wish = replace(WISH, scheduled_at=at.clock.now() + timedelta(days=days))
    with pytest.raises(InvalidInput, match="scheduledAt"):
        await request_agent_update(at, agent.uuid, wish)


async def test_updates_are_listed_newest_first_and_by_state(
    at: Context, clock: ManualClock
) -> None:
    agent = await make_agent(at)
    made: list[AgentUpdate] = []
    for number in range(3):
        clock.advance(seconds=1)
        wish = UpdateWish(f"1.0.60{number}", replaces=True)
        made.insert(0, await request_agent_update(at, agent.uuid, wish))
    page = await list_agent_updates(at, UpdateFilter(agent.uuid), 2, None)
    assert [row.id for row in page.items] == [made[0].id, made[1].id]
    assert page.has_next
    assert page.total == 3
    rest = await list_agent_updates(at, UpdateFilter(agent.uuid), 2, page.cursors[-1])
    assert [row.id for row in rest.items] == [made[2].id]
    pending = await list_agent_updates(at, UpdateFilter(states=[UpdateState.PENDING]), 10, None)
    assert [row.id for row in pending.items] == [made[0].id]
    with pytest.raises(NotFound):
        await list_agent_updates(at, UpdateFilter(at.ids.uuid()), 2, None)


async def test_another_tenant_sees_and_stops_nothing(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    tenant = await make_tenant(at.clock, at.ids)
    other = at.acting_as(replace(at.caller, tenant_id=tenant.id))
    with pytest.raises(NotFound):
        await get_agent_update(other, update.id)
    with pytest.raises(NotFound):
        await cancel_agent_update(other, update.id)
    with pytest.raises(NotFound):
        await request_agent_update(other, agent.uuid, WISH)
    assert (await list_agent_updates(other, UpdateFilter(), 10, None)).items == []


async def test_a_deleted_agent_leaves_no_command_behind(at: Context) -> None:
    agent = await make_agent(at)
    update = await request_agent_update(at, agent.uuid, WISH)
    await delete_agent(at, agent.uuid)
    assert await command_of(agent) is None
    with pytest.raises(NotFound):
        await get_agent_update(at, update.id)
