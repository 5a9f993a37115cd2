"""When the database is away, every use case says so in the one way that edges understand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tortoise import Tortoise, connections

from core.callers import Caller, Role
from core.context import Context
from core.errors import Unavailable
from resolvers import (
    agent_events,
    agents,
    api_keys,
    auth,
    broker_accounts,
    broker_roles,
    current_states,
    device_callers,
    device_logs,
    mqtt_accounts,
    provisioning,
    provisioning_keys,
    sessions,
    standing,
    target_states,
    tenants,
    users,
)
from tests.factories import make_agent
from tests.resolvers.edge import Edge, as_agent, nobody, system


@pytest.fixture
async def away(ctx: Context) -> AsyncIterator[None]:
    """Point the rows' connection at a port where nothing listens, then back."""
    client: Any = connections.get("default")
    await client.close()
    port, client.port = client.port, 1
    client._template["port"] = 1
    yield
    client.port = port
    client._template["port"] = port
    await client.close()
    await connections.get("default").execute_query("select 1")
    assert Tortoise._inited


Call = Callable[[Context], Awaitable[object]]
EDGE = Edge.make()


def owner(me: Context) -> Context:
    return me.acting_as(Caller(Role.OWNER, me.tenant_id, user_id=EDGE.uuid))


CALLS: dict[str, Call] = {
    "bootstrap": lambda me: tenants.bootstrap(
        system(me), admin_email="a@b.c", admin_password="long enough"
    ),
    "login": lambda me: auth.login(nobody(me), "a", "b"),
    "list_agents": lambda me: agents.list_agents(owner(me), agents.AgentFilter(), 1, None),
    "caller_from_device_key": lambda me: device_callers.caller_from_device_key(
        nobody(me), "x", uuid=None
    ),
    "mark_seen": lambda me: agents.mark_seen(me, []),
    "sweep_offline": lambda me: agents.sweep_offline(system(me)),
    "list_session_drops": lambda me: agents.list_session_drops(system(me), 5),
    "list_provisioning_keys": lambda me: provisioning_keys.list_provisioning_keys(owner(me)),
    "create_provisioning_key": lambda me: provisioning_keys.create_provisioning_key(owner(me)),
    "register_agent": lambda me: provisioning.register_agent(nobody(me), "x", EDGE.registration()),
    "exchange_key": lambda me: provisioning.exchange_key(nobody(me), EDGE.uuid, "AAAA", "x"),
    "poll_target_state": lambda me: target_states.poll_target_state(
        me, me.caller.agent_uuid or EDGE.uuid
    ),
    "set_target_state": lambda me: target_states.set_target_state(
        owner(me), EDGE.uuid, apps={}, config={}
    ),
    "report_state": lambda me: current_states.report_state(me, {"version": 1}, transport="http"),
    "upload_logs": lambda me: device_logs.upload_logs(
        me, me.caller.agent_uuid or EDGE.uuid, "b", b'{"message":"x"}'
    ),
    "record_agent_event": lambda me: agent_events.record_agent_event(
        me, "events/x", b"{}", retained=False
    ),
    "caller_from_token": lambda me: auth.caller_from_token(
        nobody(me), me.tokens.issue(EDGE.uuid, me.tenant_id, EDGE.uuid)[0]
    ),
    "refresh": lambda me: sessions.refresh(nobody(me), "x"),
    "logout": lambda me: sessions.logout(owner(me)),
    "list_my_sessions": lambda me: sessions.list_my_sessions(owner(me)),
    "purge_ended_sessions": lambda me: sessions.purge_ended_sessions(system(me)),
    "find_fallen": lambda me: standing.find_fallen(
        system(me), [Caller(Role.OWNER, 1, user_id=EDGE.uuid, session_id=EDGE.uuid)]
    ),
    "list_users": lambda me: users.list_users(owner(me)),
    "delete_user": lambda me: users.delete_user(owner(me), me.ids.uuid()),
    "create_api_key": lambda me: api_keys.create_api_key(owner(me), "k"),
    "caller_from_api_key": lambda me: api_keys.caller_from_api_key(nobody(me), f"fg_{'x' * 43}"),
    "create_tenant": lambda me: tenants.create_tenant(system(me), "t", owner_email="a@b.c"),
    "create_account": lambda me: broker_accounts.create_account(
        owner(me), "historian", broker_accounts.AccountChanges()
    ),
    "create_line": lambda me: broker_roles.create_line(
        owner(me), broker_roles.LineOwner(role="readers"), "i/x", 1
    ),
    "list_broker_accounts": lambda me: mqtt_accounts.list_broker_accounts(system(me)),
}


@pytest.fixture
async def me(ctx: Context) -> Context:
    return as_agent(ctx, await make_agent(ctx))


@pytest.mark.parametrize("name", CALLS)
async def test_says_unavailable(me: Context, away: None, name: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await CALLS[name](me)
    assert caught.value.facts["part"] == "database"


async def test_a_sighting_that_could_not_be_written_is_tried_again(me: Context, away: None) -> None:
    assert me.caller.agent_id is not None
    for _ in range(2):
        with pytest.raises(Unavailable):
            await agents.mark_seen(me, [me.caller.agent_id])
