"""Who looks after accounts on the broker, in tests: a tenant's people, and the installation's owner."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from core.broker_accounts import BrokerAccount
from core.callers import Caller, Role
from core.context import Context
from core.mqtt_topics import encode_id
from models.connection import fetch
from models.tenants import first_tenant, get_tenant
from resolvers import broker_accounts
from resolvers.broker_accounts import AccountChanges, AccountKey
from resolvers.mqtt_accounts import list_broker_accounts
from tests.factories import make_tenant
from tests.resolvers.edge import system

PASSWORD = "bolt-turret-lamp-9"


async def another(ctx: Context) -> Context:
    """Return the context of an owner of a new tenant, which is not the first."""
    tenant = await make_tenant(ctx.clock, ctx.ids)
    return ctx.acting_as(Caller(Role.OWNER, tenant.id, user_id=ctx.ids.uuid()))


async def installation(ctx: Context) -> Context:
    """Return the context of an owner of the first tenant, which may be some earlier test's."""
    first = await first_tenant()
    assert first is not None
    return ctx.acting_as(Caller(Role.OWNER, first.id, user_id=ctx.ids.uuid()))


def in_role(ctx: Context, role: Role) -> Context:
    return ctx.acting_as(replace(ctx.caller, role=role))


async def topics(ctx: Context) -> str:
    """Return what the tenant's topics begin with."""
    return f"i/{encode_id(str((await get_tenant(ctx.tenant_id)).uuid))}"


def a_name(ctx: Context) -> str:
    return f"user-{ctx.ids.secret_hex(5)}"


async def make(ctx: Context, **values: object) -> str:
    """Make an account, and return its name."""
    changes = AccountChanges(**{"password": PASSWORD} | values)  # type: ignore[arg-type]  # by name
    return (await broker_accounts.create_account(ctx, a_name(ctx), changes)).row.username


def named(username: str) -> AccountKey:
    return AccountKey(username=username)


async def at_the_broker(ctx: Context, username: str) -> BrokerAccount | None:
    accounts = await list_broker_accounts(system(ctx))
    return next((a for a in accounts if a.username == username), None)


async def audited(ctx: Context) -> list[asyncpg.Record]:
    return await fetch(
        "select event_type, subject, details::text as details from audit_event"
        " where tenant_id = $1 order by id",
        ctx.tenant_id,
    )
