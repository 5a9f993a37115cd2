from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from core.audit import AuditType
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from core.events import AccessChanged, AgentChanged, BrokerAccountsChanged
from models.agents import Agent
from models.connection import fetch
from models.device_keys import DeviceKey
from models.mqtt_accounts import MqttAccount
from models.target_states import TargetState
from models.tenants import Tenant
from resolvers import agents, register
from resolvers.mqtt_accounts import list_broker_accounts
from resolvers.readings import latest_readings
from resolvers.register import AgentChanges
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import Edge, caller_of, provision, published, system
from tests.resolvers.edge import register as register_edge
from tests.schema.asking import record
from workers.access_changes import AccessChanges


async def strangers(ctx: Context) -> Context:
    other = await make_tenant(ctx.clock, ctx.ids)
    return ctx.acting_as(replace(ctx.caller, tenant_id=other.id))


async def recorded(ctx: Context, type_: AuditType) -> list[UUID | None]:
    """Return the agents that events of one kind are about."""
    rows = await fetch(
        "select agent_uuid from audit_event where tenant_id = $1 and event_type = $2",
        ctx.tenant_id,
        type_.value,
    )
    return [row["agent_uuid"] for row in rows]


async def may_log_in(ctx: Context, agent: Agent) -> bool:
    (account,) = await MqttAccount.of(ctx.tenant_id, agent_id=agent.id)
    return account.username in {a.username for a in await list_broker_accounts(system(ctx))}


class TestUpdating:
    async def test_changes_what_is_given_and_leaves_the_rest(self, ctx: Context) -> None:
        agent = await make_agent(ctx, ip_address="10.0.0.1", location="hall 1")
        changes = AgentChanges(name=" press 2 ", location="", mac_address="02:00:5e:00:53:01")
        await register.update_agent(ctx, agent.uuid, changes)
        row = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert (row.name, row.location, row.type) == ("press 2", "", "gateway")
        assert (row.ip_address, row.mac_address) == ("10.0.0.1", "02:00:5e:00:53:01")
        assert row.changed_at > agent.changed_at
        assert published(ctx, AgentChanged) == [AgentChanged(ctx.tenant_id, agent.uuid)]
        assert await recorded(ctx, AuditType.DEVICE_UPDATED) == [agent.uuid]

    async def test_a_change_of_nothing_is_told_to_nobody(self, ctx: Context) -> None:
        agent = await make_agent(ctx, name="press")
        await register.update_agent(ctx, agent.uuid, AgentChanges(name="press"))
        assert published(ctx, AgentChanged) == []
        assert await recorded(ctx, AuditType.DEVICE_UPDATED) == []

    @pytest.mark.parametrize(
        "changes",
        [
            AgentChanges(),
            AgentChanges(name=" "),
            AgentChanges(name="x" * 256),
            AgentChanges(name="a\nb"),
            AgentChanges(type="x" * 101),
            AgentChanges(location="\x00"),
            AgentChanges(ip_address="x" * 65),
        ],
    )
    async def test_refuses_what_is_no_name(self, ctx: Context, changes: AgentChanges) -> None:
        agent = await make_agent(ctx)
        with pytest.raises(InvalidInput):
            await register.update_agent(ctx, agent.uuid, changes)

    async def test_another_tenants_agent_is_not_found(self, ctx: Context) -> None:
        agent, stranger = await make_agent(ctx), await strangers(ctx)
        for attempt in (
            register.update_agent(stranger, agent.uuid, AgentChanges(name="mine")),
            register.set_agent_active(stranger, agent.uuid, False),
            register.delete_agent(stranger, agent.uuid),
        ):
            with pytest.raises(NotFound):
                await attempt


class TestActivity:
    async def test_a_deactivated_agent_is_locked_out_everywhere(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        await agents.mark_seen(await caller_of(ctx, edge), [agent.id])
        assert await may_log_in(ctx, agent)
        told = len(published(ctx, AccessChanged))
        row = await register.set_agent_active(ctx, agent.uuid, False)
        assert not row.is_active
        assert not row.is_online
        with pytest.raises(Forbidden):
            await caller_of(ctx, edge)
        assert not await may_log_in(ctx, agent)
        waiting = await agents.list_session_drops(system(ctx), 500)
        assert agent.id in {drop.agent_id for drop in waiting}
        await agents.clear_session_drops(system(ctx), [agent.id])
        assert published(ctx, AccessChanged)[told:] == [
            AccessChanged(ctx.tenant_id, agent_id=agent.id)
        ]
        assert len(await recorded(ctx, AuditType.DEVICE_DEACTIVATED)) == 1

    async def test_a_repeat_tells_nothing_twice(self, ctx: Context) -> None:
        agent = await make_agent(ctx)
        for _ in range(2):
            await register.set_agent_active(ctx, agent.uuid, False)
        await agents.clear_session_drops(system(ctx), [agent.id])
        assert len(published(ctx, AgentChanged)) == 1
        assert len(published(ctx, BrokerAccountsChanged)) == 1

    async def test_a_reactivated_agent_comes_back_with_what_it_had(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        await register.set_agent_active(ctx, agent.uuid, False)
        await agents.clear_session_drops(system(ctx), [agent.id])
        await register.set_agent_active(ctx, agent.uuid, True)
        await agents.mark_seen(await caller_of(ctx, edge), [agent.id])
        assert await may_log_in(ctx, agent)
        assert len(await recorded(ctx, AuditType.DEVICE_ACTIVATED)) == 1

    async def test_other_processes_forget_its_topic_when_they_hear(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        _, neighbour = await provision(ctx)
        tenant = str((await Tenant.get(id=ctx.tenant_id)).uuid)

        async def heard(who: Agent) -> bool:
            return await agents.find_topic_agent(system(ctx), tenant, who.uuid) is not None

        listening = asyncio.create_task(AccessChanges(system(ctx)).run())
        await asyncio.sleep(0)
        try:
            assert await heard(agent)
            assert await heard(neighbour)
            await Agent.of(ctx.tenant_id, id=neighbour.id).update(is_active=False)
            await register.set_agent_active(ctx, agent.uuid, False)
            async with asyncio.timeout(2):
                while await heard(agent):  # noqa: ASYNC110  # the memory offers no event
                    await asyncio.sleep(0.01)
            assert await heard(neighbour)  # nobody told of it: still in memory
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await agents.clear_session_drops(system(ctx), [agent.id])


class TestDeleting:
    async def test_takes_keys_states_and_account_along(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        await record(ctx, agent, "temp", [(ctx.clock.now(), 1.0)])
        assert await latest_readings(ctx, agent.uuid)
        told = len(published(ctx, AccessChanged))
        await register.delete_agent(ctx, agent.uuid)
        for rows in (Agent, DeviceKey, TargetState, MqttAccount):
            assert await rows.of(ctx.tenant_id).count() == 0
        with pytest.raises(Unauthenticated):
            await caller_of(ctx, edge)
        with pytest.raises(NotFound):
            await latest_readings(ctx, agent.uuid)
        gone = AccessChanged(ctx.tenant_id, agent_id=agent.id)
        assert published(ctx, AccessChanged)[told:] == [gone]
        assert published(ctx, AgentChanged)[-1] == AgentChanged(ctx.tenant_id, agent.uuid)
        assert await recorded(ctx, AuditType.DEVICE_DELETED) == [agent.uuid]

    async def test_its_uuid_may_register_anew_and_reads_nothing_of_before(
        self, ctx: Context
    ) -> None:
        edge, agent = await provision(ctx)
        await record(ctx, agent, "temp", [(ctx.clock.now(), 1.0)])
        await register.delete_agent(ctx, agent.uuid)
        again = replace(Edge.make(), uuid=edge.uuid)
        registered = await register_edge(ctx, again)
        assert registered.agent.id != agent.id
        assert await latest_readings(ctx, edge.uuid) == []

    async def test_leaves_its_neighbours_alone(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        edge, neighbour = await provision(ctx)
        await register.delete_agent(ctx, agent.uuid)
        assert (await caller_of(ctx, edge)).caller.agent_id == neighbour.id
        assert await may_log_in(ctx, neighbour)
