"""The accounts of the sensors that publish to an agent's MQTT endpoints."""

from __future__ import annotations

from uuid import UUID

import pytest

from core.broker_accounts import BrokerAccount, may, verify_broker_password
from core.context import Context
from core.errors import Conflict, InvalidInput
from core.events import BROKER_ACCOUNTS
from core.mqtt_topics import agent_username, encode_id
from core.sensor_edits import SensorValues
from core.sensors import KEPT
from models.agents import Agent
from models.mqtt_accounts import MqttAccount
from models.tenants import Tenant
from models.unit_of_work import unit_of_work
from resolvers import device_keys, sensor_changes
from resolvers.broker_callbacks import KnownAccounts, check_login
from resolvers.broker_credentials import (
    EndpointCredentials,
    close_endpoint_account,
    open_endpoint_account,
)
from resolvers.mqtt_accounts import list_agent_usernames, list_broker_accounts
from resolvers.target_history import roll_back_target_state
from resolvers.target_states import set_target_state
from tests.doubles import RecordingBus
from tests.resolvers.edge import exchange, provision, register, system


async def opened(ctx: Context, agent: Agent, endpoint: UUID) -> EndpointCredentials:
    async with unit_of_work(ctx) as work:
        return await open_endpoint_account(ctx, work, agent, endpoint)


async def closed(ctx: Context, agent: Agent, endpoint: UUID) -> None:
    async with unit_of_work(ctx) as work:
        await close_endpoint_account(ctx, work, agent, endpoint)


async def at_the_broker(ctx: Context, username: str) -> BrokerAccount | None:
    accounts = await list_broker_accounts(system(ctx))
    return next((a for a in accounts if a.username == username), None)


async def test_sensors_may_publish_on_their_one_topic(ctx: Context) -> None:
    _, agent = await provision(ctx)
    endpoint = ctx.ids.uuid()
    tenant = await Tenant.get(id=ctx.tenant_id)
    credentials = await opened(ctx, agent, endpoint)
    name = agent_username(str(tenant.uuid), agent.uuid)
    assert credentials.topic == f"i/{name}/d/{encode_id(str(endpoint))}"
    assert credentials.username == f"{encode_id(str(tenant.uuid))}/d/{encode_id(str(endpoint))}"
    account = await at_the_broker(ctx, credentials.username)
    assert account is not None
    assert verify_broker_password(credentials.password, account.password_hash)
    assert may(account, credentials.topic, write=True)
    assert not may(account, credentials.topic, write=False)
    assert not may(account, f"i/{name}/state", write=True)
    own = await at_the_broker(ctx, name)
    assert own is not None
    assert may(own, credentials.topic, write=False)
    assert not may(own, credentials.topic, write=True)


async def test_opening_again_gives_another_password(ctx: Context) -> None:
    _, agent = await provision(ctx)
    endpoint = ctx.ids.uuid()
    first, second = await opened(ctx, agent, endpoint), await opened(ctx, agent, endpoint)
    assert first.password != second.password
    account = await at_the_broker(ctx, first.username)
    assert account is not None
    assert len(account.rules) == 1
    assert not verify_broker_password(first.password, account.password_hash)
    assert verify_broker_password(second.password, account.password_hash)


async def test_no_agent_takes_the_endpoint_of_another(ctx: Context) -> None:
    _, one = await provision(ctx)
    _, two = await provision(ctx)
    endpoint = ctx.ids.uuid()
    first = await opened(ctx, one, endpoint)
    with pytest.raises(Conflict):
        await opened(ctx, two, endpoint)
    await closed(ctx, two, endpoint)
    account = await at_the_broker(ctx, first.username)
    assert account is not None
    assert verify_broker_password(first.password, account.password_hash)


async def test_closing_ends_the_account_and_its_line(ctx: Context) -> None:
    _, agent = await provision(ctx)
    endpoint = ctx.ids.uuid()
    credentials = await opened(ctx, agent, endpoint)
    bus = ctx.bus
    assert isinstance(bus, RecordingBus)
    bus.published.clear()
    await closed(ctx, agent, endpoint)
    assert [name for name, _ in bus.published] == [BROKER_ACCOUNTS.name]
    assert await at_the_broker(ctx, credentials.username) is None
    await closed(ctx, agent, endpoint)
    assert len(bus.published) == 1


async def test_sensors_of_a_deactivated_agent_may_not_log_in(ctx: Context) -> None:
    _, agent = await provision(ctx)
    credentials = await opened(ctx, agent, ctx.ids.uuid())
    agent.is_active = False
    await agent.save()
    assert await at_the_broker(ctx, credentials.username) is None


async def test_a_revoked_agents_sensors_are_out_until_it_has_a_key_again(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    _, other = await provision(ctx)
    credentials = await opened(ctx, agent, ctx.ids.uuid())
    others = await opened(ctx, other, ctx.ids.uuid())
    await device_keys.revoke_device_keys(ctx, agent.uuid, reason="stolen")
    known = KnownAccounts()
    name, password = credentials.username, credentials.password
    assert await at_the_broker(ctx, name) is None
    assert not await check_login(system(ctx), known, name, password)
    assert await at_the_broker(ctx, others.username)
    edge = edge.with_new_device_key()
    registered = await register(ctx, edge)
    assert await at_the_broker(ctx, name) is None
    await exchange(ctx, edge, registered.challenge)
    known.forget()
    assert await at_the_broker(ctx, name)
    assert await check_login(system(ctx), known, name, password)


async def test_an_agent_that_registers_again_keeps_its_sensors_connected(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    credentials = await opened(ctx, agent, ctx.ids.uuid())
    await register(ctx, edge.with_new_device_key())
    assert await at_the_broker(ctx, credentials.username)


@pytest.mark.parametrize("goes", ["with the next deletion", "with a document without it"])
async def test_a_deleted_sensor_that_is_its_agents_last_logs_in_no_more(
    ctx: Context, goes: str
) -> None:
    _, agent = await provision(ctx)
    values = SensorValues(name="gauge", protocol="mqtt", connection={})
    added = await sensor_changes.add_sensor(ctx, agent.uuid, values)
    assert added.credentials
    username = added.credentials.username
    assert await at_the_broker(ctx, username)
    deleted = await sensor_changes.delete_sensor(ctx, agent.uuid, "gauge")
    assert deleted.warning == KEPT
    assert await at_the_broker(ctx, username) is None
    with pytest.raises(InvalidInput):
        await sensor_changes.reset_sensor_credentials(ctx, agent.uuid, "gauge")
    if goes == "with the next deletion":
        await sensor_changes.delete_sensor(ctx, agent.uuid, "gauge", hard=True)
    else:
        await set_target_state(ctx, agent.uuid, apps={}, config={"endpoints": []})
    await roll_back_target_state(ctx, agent.uuid, added.version)
    assert await at_the_broker(ctx, username) is None
    again = await sensor_changes.reset_sensor_credentials(ctx, agent.uuid, "gauge")
    assert again.credentials
    account = await at_the_broker(ctx, username)
    assert account
    assert verify_broker_password(again.credentials.password, account.password_hash)


async def test_an_agents_name_is_its_own_and_not_its_sensors(ctx: Context) -> None:
    _, agent = await provision(ctx)
    await opened(ctx, agent, ctx.ids.uuid())
    names = await list_agent_usernames(ctx, [agent.id])
    account = await MqttAccount.find_row(ctx.tenant_id, agent_id=agent.id, endpoint_uuid=None)
    assert names == {agent.id: account.username}
