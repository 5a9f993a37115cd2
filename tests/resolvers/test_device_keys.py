"""Rotation with an overlap, what ends when, and revocation at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.audit import AuditType
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from core.events import AccessChanged, BrokerAccountsChanged
from core.ids import secret_hash
from models.agents import Agent, ProvisioningState
from models.device_keys import DeviceKey
from models.mqtt_accounts import MqttAccount
from models.tenants import Tenant
from resolvers import device_callers, device_keys, device_logs
from resolvers.agents import find_topic_agent, forget_agents
from resolvers.mqtt_accounts import list_broker_accounts
from resolvers.target_states import poll_target_state
from tests.doubles import ManualClock
from tests.factories import make_tenant
from tests.resolvers.edge import (
    Edge,
    as_agent,
    caller_of,
    exchange,
    nobody,
    provision,
    published,
    register,
    system,
)
from tests.resolvers.newcomers import audited

LINES = b'{"message": "hello"}\n'


@pytest.fixture
def ctx(ctx: Context) -> Context:
    """The context with a clock that the test moves."""
    return replace(ctx, clock=ManualClock(ctx.clock.now()))


def later(ctx: Context, **span: float) -> Context:
    return replace(ctx, clock=ManualClock(ctx.clock.now() + timedelta(**span)))


async def rotated(ctx: Context, edge: Edge, reason: str = "") -> Edge:
    caller = await caller_of(ctx, edge)
    new = await device_keys.rotate_device_key(caller, edge.uuid, reason=reason)
    return replace(edge, device_key=new.key)


async def key_row(edge: Edge) -> DeviceKey:
    return await DeviceKey.get(
        key_hash=secret_hash(device_callers.DEVICE_KEY_PURPOSE, edge.device_key)
    )


async def may_poll(ctx: Context, edge: Edge) -> bool:
    try:
        await poll_target_state(await caller_of(ctx, edge), edge.uuid)
    except (Unauthenticated, Forbidden):
        return False
    return True


async def may_log(ctx: Context, edge: Edge) -> bool:
    try:
        caller = await caller_of(ctx, edge)
        await device_logs.upload_logs(caller, edge.uuid, None, LINES)
    except (Unauthenticated, Forbidden):
        return False
    return True


async def test_both_keys_hold_until_the_new_one_is_used(ctx: Context) -> None:
    old, _ = await provision(ctx)
    new = await rotated(ctx, old, "yearly")
    assert new.device_key != old.device_key
    assert new.device_key.startswith("v2_")
    assert len(new.device_key) == len(old.device_key)
    assert await may_poll(ctx, old)  # the answer may have got lost
    assert await may_poll(later(ctx, days=6), old)
    caller = await caller_of(ctx, new)
    ping = await device_keys.ping_device(caller, new.uuid)
    assert ping.agent_uuid == new.uuid
    assert await may_poll(ctx, new)
    assert not await may_poll(ctx, old)
    assert await may_log(ctx, old)
    assert await may_log(later(ctx, hours=23), old)
    assert not await may_log(later(ctx, hours=25), old)
    assert await may_poll(later(ctx, days=400), new)


async def test_a_new_key_that_is_never_used_ends_and_the_old_one_stays(ctx: Context) -> None:
    old, _ = await provision(ctx)
    new = await rotated(ctx, old)
    assert not await may_poll(later(ctx, days=8), new)
    assert await may_poll(later(ctx, days=8), old)


async def test_a_repeated_rotation_drops_the_key_whose_answer_got_lost(ctx: Context) -> None:
    old, agent = await provision(ctx)
    lost = await rotated(ctx, old)
    new = await rotated(ctx, old)
    assert not await may_poll(ctx, lost)
    assert await may_poll(ctx, new)
    assert await DeviceKey.of(ctx.tenant_id, agent_id=agent.id).count() == 2


async def test_a_rotation_leaves_the_broker_login_as_it_is(ctx: Context) -> None:
    old, agent = await provision(ctx)
    before = await MqttAccount.of(ctx.tenant_id, agent_id=agent.id).first()
    await may_poll(ctx, await rotated(ctx, old))
    after = await MqttAccount.of(ctx.tenant_id, agent_id=agent.id).first()
    assert before
    assert after
    assert (before.password_hash, before.is_active) == (after.password_hash, after.is_active)


async def test_the_old_key_of_a_registration_logs_until_a_day_after_the_new_one_was_seen(
    ctx: Context,
) -> None:
    old, _ = await provision(ctx)
    assert await may_poll(ctx, old)
    new = old.with_new_device_key()
    registered = await register(ctx, new)
    await exchange(ctx, new, registered.challenge)
    # The running process goes on with the old key until it restarts, however long that takes.
    assert await may_log(later(ctx, days=30), old)
    assert not await may_poll(ctx, old)
    seen = later(ctx, days=30)
    assert await may_poll(seen, new)
    assert await may_log(later(seen, hours=23), old)
    assert not await may_log(later(seen, hours=25), old)


async def test_rotation_and_first_use_tell_every_replica(ctx: Context) -> None:
    old, agent = await provision(ctx)
    await may_poll(ctx, old)
    told = len(published(ctx, AccessChanged))
    new = await rotated(ctx, old)
    await may_poll(ctx, new)
    events = published(ctx, AccessChanged)[told:]
    assert [event.agent_id for event in events] == [agent.id, agent.id]
    types = [event["event_type"] for event in await audited(ctx, f"agent:{old.uuid}")]
    assert types.count(AuditType.DEVICE_KEY_ROTATED) == 1
    await may_poll(ctx, new)
    assert len(published(ctx, AccessChanged)) == told + 2


async def test_the_status_tells_of_a_successor(ctx: Context) -> None:
    old, _ = await provision(ctx)
    caller = await caller_of(ctx, old)
    assert (await device_keys.get_key_status(caller, old.uuid)).successor is None
    new = await rotated(ctx, old)
    status = await device_keys.get_key_status(caller, old.uuid)
    assert status.successor
    assert status.successor.id == (await key_row(new)).id
    assert status.key.id == (await key_row(old)).id
    at_end = await caller_of(later(ctx, days=8), old)
    assert (await device_keys.get_key_status(at_end, old.uuid)).successor is None


async def test_the_history_is_the_agents_own_and_peoples(ctx: Context) -> None:
    old, agent = await provision(ctx)
    await rotated(ctx, old, "just because")
    page = await device_keys.list_device_keys(ctx, old.uuid, 1)
    assert [key.reason for key in page.items] == ["just because"]
    assert page.has_next
    rest = await device_keys.list_device_keys(ctx, old.uuid, 5, page.cursors[-1])
    assert [key.reason for key in rest.items] == [""]
    own = await device_keys.list_device_keys(as_agent(ctx, agent), old.uuid, 5)
    assert len(own.items) == 2
    _, other = await provision(ctx)
    with pytest.raises(NotFound):
        await device_keys.list_device_keys(as_agent(ctx, other), old.uuid, 5)


async def test_revocation_ends_every_key_and_the_broker_login_at_once(ctx: Context) -> None:
    old, agent = await provision(ctx)
    new = await rotated(ctx, old)
    stolen = "the cabinet was found open"
    await device_keys.revoke_device_keys(ctx, old.uuid, reason=stolen)
    for edge in (old, new):
        assert not await may_poll(ctx, edge)
        assert not await may_log(ctx, edge)
    names = {account.username for account in await list_broker_accounts(system(ctx))}
    row = await MqttAccount.of(ctx.tenant_id, agent_id=agent.id).get()
    assert row.username not in names
    assert published(ctx, AccessChanged)[-1].agent_id == agent.id
    assert published(ctx, BrokerAccountsChanged)
    entry = (await audited(ctx, f"agent:{old.uuid}"))[-1]
    assert entry["event_type"] == AuditType.DEVICE_KEY_REVOKED
    assert stolen in str(entry["details"])


async def test_a_revoked_agent_is_not_heard_over_mqtt(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    tenant = str((await Tenant.get(id=ctx.tenant_id)).uuid)
    assert await find_topic_agent(system(ctx), tenant, edge.uuid)
    await device_keys.revoke_device_keys(ctx, edge.uuid, reason="stolen")
    await forget_agents(system(ctx), agent.id)
    assert await find_topic_agent(system(ctx), tenant, edge.uuid) is None
    row = await Agent.get(id=agent.id)
    assert row.provisioning_state is ProvisioningState.REGISTERED
    assert row.session_drop_requested_at is not None


async def test_a_revoked_agent_registers_again_with_a_new_key_only(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    await device_keys.revoke_device_keys(ctx, edge.uuid, reason="stolen")
    with pytest.raises(Conflict, match="revoked"):
        await register(ctx, edge)
    fresh = edge.with_new_device_key()
    registered = await register(ctx, fresh)
    await exchange(ctx, fresh, registered.challenge)
    assert await may_poll(ctx, fresh)
    assert not await may_poll(ctx, edge)
    row = await MqttAccount.of(ctx.tenant_id, agent_id=agent.id).get()
    assert row.is_active


async def test_a_revoked_key_cannot_prove_itself_back(ctx: Context) -> None:
    edge, _ = await provision(ctx)
    await device_keys.revoke_device_keys(ctx, edge.uuid, reason="stolen")
    fresh = edge.with_new_device_key()
    registered = await register(ctx, fresh)
    with pytest.raises(Unauthenticated):
        await exchange(ctx, edge, registered.challenge)


@pytest.mark.parametrize("reason", ["", "four", "x" * 501, "a\x00bcde"])
async def test_a_revocation_has_a_reason(ctx: Context, reason: str) -> None:
    edge, _ = await provision(ctx)
    with pytest.raises(InvalidInput, match="reason"):
        await device_keys.revoke_device_keys(ctx, edge.uuid, reason=reason)
    assert await may_poll(ctx, edge)


async def test_agents_of_others_are_not_revoked(ctx: Context) -> None:
    edge, _ = await provision(ctx)
    other = await make_tenant(ctx.clock, ctx.ids)
    elsewhere = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
    with pytest.raises(NotFound):
        await device_keys.revoke_device_keys(elsewhere, edge.uuid, reason="stolen")
    assert await may_poll(ctx, edge)


async def test_a_superseded_key_rotates_nothing(ctx: Context) -> None:
    old, _ = await provision(ctx)
    new = await rotated(ctx, old)
    await may_poll(ctx, new)
    with pytest.raises(Forbidden):
        await rotated(ctx, old)
    with pytest.raises(Unauthenticated):
        await device_callers.caller_from_device_key(nobody(ctx), "v2_nothing", uuid=None)


async def test_a_replaced_key_cannot_prove_itself_back(ctx: Context) -> None:
    old = Edge.make()
    registered = await register(ctx, old)
    proof = registered.challenge
    await exchange(ctx, old, proof)
    new = old.with_new_device_key()
    again = await register(ctx, new)
    await exchange(ctx, new, again.challenge)
    for challenge in {proof, again.challenge}:
        with pytest.raises(Unauthenticated):
            await exchange(ctx, old, challenge)
    assert await may_poll(ctx, new)


async def test_a_key_that_comes_back_signs_a_challenge_of_its_own(ctx: Context) -> None:
    old = Edge.make()
    first = await register(ctx, old)
    await exchange(ctx, old, first.challenge)
    new = old.with_new_device_key()
    second = await register(ctx, new)
    assert second.challenge != first.challenge
    await exchange(ctx, new, second.challenge)
    back = await register(ctx, old)
    assert back.challenge not in {first.challenge, second.challenge}
    assert await may_poll(ctx, new)  # nothing is proven yet
    for recorded in (first, second):
        with pytest.raises(Unauthenticated):
            await exchange(ctx, old, recorded.challenge)
    await exchange(ctx, old, back.challenge)
    assert await may_poll(ctx, old)
    assert not await may_poll(ctx, new)


async def test_an_exchange_tells_every_replica_that_the_key_before_holds_no_more(
    ctx: Context,
) -> None:
    old, agent = await provision(ctx)
    new = old.with_new_device_key()
    registered = await register(ctx, new)
    told = len(published(ctx, AccessChanged))
    await exchange(ctx, new, registered.challenge)
    assert published(ctx, AccessChanged)[told:] == [AccessChanged(ctx.tenant_id, agent_id=agent.id)]
    await exchange(ctx, new, registered.challenge)
    assert len(published(ctx, AccessChanged)) == told + 1
