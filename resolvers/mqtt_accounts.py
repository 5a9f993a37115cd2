"""Accounts on the broker, as the broker needs to know them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from core.access import Permission, allow
from core.broker_accounts import AclRule, BrokerAccount
from core.callers import Role
from core.context import Context
from core.errors import InvalidInput
from models.mqtt_accounts import ActiveAccount, active_accounts, usernames_of
from models.unit_of_work import database_errors
from resolvers.own_agent import own_agent_id

_log = logging.getLogger(__name__)

READ: Final = 1
WRITE: Final = 2
"""The bits of an ACL line's access; 4, to subscribe, follows from reading."""


@allow(Permission.SYSTEM)
async def list_broker_accounts(ctx: Context) -> list[BrokerAccount]:
    """Return the accounts that may log in, over all tenants, by name.

    One that no broker could be told of is left out and logged: it must not keep the others out.
    """
    with database_errors():
        rows = await active_accounts()
    return [account for row in rows if (account := broker_account(row)) is not None]


def broker_account(row: ActiveAccount) -> BrokerAccount | None:
    """Return the account as brokers know it, without lines that are none; None for a bad one."""
    rules = []
    for topic, access in zip(row.topics, row.accesses, strict=True):
        try:
            rules.append(AclRule(topic, read=bool(access & READ), write=bool(access & WRITE)))
        except InvalidInput as error:
            _log.error("left out an ACL line of %r: %s", row.username, error.message)
    try:
        return BrokerAccount(
            row.username,
            row.password_hash,
            is_platform=row.is_superuser,
            rules=() if row.is_superuser else tuple(rules),
        )
    except InvalidInput as error:
        _log.error("left out the broker account %r: %s", row.username, error.message)
        return None


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def list_agent_usernames(ctx: Context, agent_ids: Sequence[int]) -> dict[int, str]:
    """Return the names of agents' accounts in one query; agents may know their own only."""
    wanted = [own_agent_id(ctx)] if ctx.caller.role is Role.AGENT else agent_ids
    with database_errors():
        return await usernames_of(ctx.tenant_id, wanted)
