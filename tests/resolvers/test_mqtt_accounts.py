from __future__ import annotations

from core.context import Context
from core.mqtt_topics import agent_username
from models.mqtt_accounts import MqttAccount
from models.tenants import Tenant
from resolvers.mqtt_accounts import list_broker_accounts
from tests.resolvers.edge import provision, system


async def names(ctx: Context) -> list[str]:
    return [account.username for account in await list_broker_accounts(system(ctx))]


async def test_lists_who_may_log_in(ctx: Context) -> None:
    _, agent = await provision(ctx)
    tenant = await Tenant.get(id=ctx.tenant_id)
    username = agent_username(str(tenant.uuid), agent.uuid)
    assert username in await names(ctx)
    account = await MqttAccount.find_row(ctx.tenant_id, username=username)
    account.is_active = False
    await account.save()
    assert username not in await names(ctx)


async def test_leaves_out_deactivated_agents(ctx: Context) -> None:
    _, agent = await provision(ctx)
    agent.is_active = False
    await agent.save()
    (account,) = await MqttAccount.of(ctx.tenant_id)
    assert account.is_active
    assert account.username not in await names(ctx)
