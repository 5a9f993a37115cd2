from __future__ import annotations

import pytest

from core.broker_accounts import hash_broker_password
from core.context import Context
from core.mqtt_topics import agent_username
from models.mqtt_accounts import MqttAccount, put_only_line
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


async def test_leaves_a_bad_row_out_and_says_so(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    _, agent = await provision(ctx)
    (good,) = await MqttAccount.of(ctx.tenant_id)
    bad = [await new_account(ctx, name) for name in (f"a b {agent.id}", f"x/y/z/{agent.id}")]
    ruled = await new_account(ctx, f"ruled-{agent.id}")
    await put_only_line(ctx.tenant_id, ruled.id, "a/#/b", 1, ctx.clock.now())
    try:
        found = {account.username: account for account in await list_broker_accounts(system(ctx))}
    finally:
        await MqttAccount.of(ctx.tenant_id).delete()
    assert good.username in found
    assert not {row.username for row in bad} & found.keys()
    assert found[ruled.username].rules == ()
    told = [record.getMessage() for record in caplog.records]
    for row in (*bad, ruled):
        assert any(repr(row.username) in line for line in told), row.username


async def new_account(ctx: Context, username: str) -> MqttAccount:
    now = ctx.clock.now()
    return await MqttAccount.create(
        tenant_id=ctx.tenant_id,
        username=username,
        password_hash=hash_broker_password("x"),
        created_at=now,
        updated_at=now,
    )
