"""What is open ends when access does: by message, and by a look at the database without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from core.callers import Caller
from core.context import Context
from core.events import AccessChanged
from fleetgraph.credentials import caller_of
from fleetgraph.presence import Presence
from models.agents import Agent
from models.api_keys import ApiKey
from models.device_keys import DeviceKey
from models.sessions import Session
from models.users import User
from resolvers.api_keys import create_api_key
from tests.contracts.serving import give_key, sign_in
from tests.factories import make_agent
from tests.resolvers.edge import nobody, system


class Opened:
    """Something that is open for a caller."""

    def __init__(self, presence: Presence, caller: Caller) -> None:
        self.caller = caller
        self.ends = 0
        self.leave = presence.enter(caller, self._end)

    def _end(self) -> None:
        self.ends += 1


async def person(ctx: Context) -> Caller:
    _, token = await sign_in(ctx, role="admin")
    return await caller_of(nobody(ctx), {"authorization": token})


async def program(ctx: Context) -> Caller:
    maker = ctx.acting_as(await person(ctx))
    key = await create_api_key(maker, f"key {ctx.ids.secret(4)}")
    return await caller_of(nobody(ctx), {"authorization": f"Bearer {key.text}"})


async def agent(ctx: Context) -> Caller:
    key = await give_key(ctx, await make_agent(ctx))
    return await caller_of(nobody(ctx), {"x-device-api-key": key})


KINDS = {"person": person, "program": program, "agent": agent}


async def end_session(ctx: Context, caller: Caller) -> None:
    await Session.of(ctx.tenant_id, id=caller.session_id).update(ended_at=ctx.clock.now())


async def deactivate(ctx: Context, caller: Caller) -> None:
    await User.of(ctx.tenant_id, id=caller.user_id).update(is_active=False)


async def demote(ctx: Context, caller: Caller) -> None:
    await User.of(ctx.tenant_id, id=caller.user_id).update(role="viewer")


async def demand_password(ctx: Context, caller: Caller) -> None:
    await User.of(ctx.tenant_id, id=caller.user_id).update(must_change_password=True)


async def revoke_key(ctx: Context, caller: Caller) -> None:
    await ApiKey.of(ctx.tenant_id, id=caller.api_key_id).update(revoked_at=ctx.clock.now())


async def deactivate_agent(ctx: Context, caller: Caller) -> None:
    await Agent.of(ctx.tenant_id, id=caller.agent_id).update(is_active=False)


async def supersede(ctx: Context, caller: Caller) -> None:
    row = DeviceKey.of(ctx.tenant_id, id=caller.device_key_id)
    await row.update(superseded_at=ctx.clock.now())


async def delete_device_key(ctx: Context, caller: Caller) -> None:
    await DeviceKey.of(ctx.tenant_id, id=caller.device_key_id).delete()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("person", end_session),
        ("person", deactivate),
        ("person", demote),
        ("person", demand_password),
        ("program", revoke_key),
        ("program", deactivate),
        ("program", demote),
        ("agent", deactivate_agent),
        ("agent", supersede),
        ("agent", delete_device_key),
    ],
)
async def test_a_look_at_the_database_finds_who_may_not_do_the_same_any_more(
    ctx: Context, kind: str, change: Callable[[Context, Caller], Awaitable[None]]
) -> None:
    presence = Presence()
    fallen, other = [Opened(presence, await KINDS[kind](ctx)) for _ in range(2)]
    await presence.look(system(ctx))
    assert (fallen.ends, other.ends) == (0, 0)
    await change(ctx, fallen.caller)
    await presence.look(system(ctx))
    await presence.look(system(ctx))
    assert (fallen.ends, other.ends) == (1, 0)
    assert presence.open_count == 1


async def test_what_has_just_been_opened_is_looked_at_once_more(ctx: Context) -> None:
    presence = Presence()
    caller = await person(ctx)
    await end_session(ctx, caller)  # after the check, before the socket is known
    opened = Opened(presence, caller)
    await presence.look_at_new(system(ctx))
    assert opened.ends == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("session_id", "person"),
        ("user_id", "person"),
        ("user_id", "program"),
        ("api_key_id", "program"),
        ("agent_id", "agent"),
    ],
)
async def test_a_message_ends_what_is_open_for_the_one_it_names(
    ctx: Context, name: str, kind: str
) -> None:
    presence = Presence()
    caller = await KINDS[kind](ctx)
    opened, second = Opened(presence, caller), Opened(presence, caller)
    other = Opened(presence, await KINDS[kind](ctx))
    presence.end_changed(AccessChanged(ctx.tenant_id, **{name: getattr(caller, name)}))
    assert (opened.ends, second.ends, other.ends) == (1, 1, 0)


async def test_what_has_closed_is_not_ended(ctx: Context) -> None:
    presence = Presence()
    opened = Opened(presence, await person(ctx))
    opened.leave()
    opened.leave()
    presence.end_changed(AccessChanged(ctx.tenant_id, user_id=opened.caller.user_id))
    assert opened.ends == 0
    assert presence.open_count == 0
