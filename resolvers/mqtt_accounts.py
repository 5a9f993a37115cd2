"""Accounts on the broker, as the broker needs to know them."""

from __future__ import annotations

from core.access import Permission, allow
from core.broker_accounts import BrokerAccount
from core.context import Context
from models.mqtt_accounts import active_accounts
from models.unit_of_work import database_errors


@allow(Permission.SYSTEM)
async def list_broker_accounts(ctx: Context) -> list[BrokerAccount]:
    """Return the accounts that may log in, over all tenants, by name."""
    with database_errors():
        accounts = await active_accounts()
    return [BrokerAccount(name, password_hash) for name, password_hash in accounts]
