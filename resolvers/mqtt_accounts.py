"""Accounts on the broker, as the broker needs to know them."""

from __future__ import annotations

from collections.abc import Sequence

from core.access import Permission, allow
from core.broker_accounts import BrokerAccount
from core.callers import Role
from core.context import Context
from models.mqtt_accounts import active_accounts, usernames_of
from models.unit_of_work import database_errors
from resolvers.own_agent import own_agent_id


@allow(Permission.SYSTEM)
async def list_broker_accounts(ctx: Context) -> list[BrokerAccount]:
    """Return the accounts that may log in, over all tenants, by name."""
    with database_errors():
        accounts = await active_accounts()
    return [BrokerAccount(name, password_hash) for name, password_hash in accounts]


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def list_agent_usernames(ctx: Context, agent_ids: Sequence[int]) -> dict[int, str]:
    """Return the names of agents' accounts in one query; agents may know their own only."""
    wanted = [own_agent_id(ctx)] if ctx.caller.role is Role.AGENT else agent_ids
    with database_errors():
        return await usernames_of(ctx.tenant_id, wanted)
