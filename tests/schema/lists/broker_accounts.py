"""Accounts on the broker, roles and ACL lines."""

from __future__ import annotations

from typing import Any

from core.context import Context
from core.mqtt_topics import encode_id
from models.tenants import get_tenant
from resolvers.broker_accounts import AccountChanges, AccountKey, create_account
from resolvers.broker_roles import LineOwner, create_line, create_role
from tests.schema.lists.case import Make


async def _accounts(ctx: Context, number: int) -> dict[str, Any]:
    """Make accounts with a role each, and two lines: one of their own, one of the role."""
    root = f"i/{encode_id(str((await get_tenant(ctx.tenant_id)).uuid))}"
    for _ in range(number):
        name = f"many-{ctx.ids.secret_hex(4)}"
        await create_role(ctx, name)
        await create_line(ctx, LineOwner(role=name), f"{root}/x", 1)
        await create_account(ctx, name, AccountChanges(roles=[name]))
        account = AccountKey(username=name)
        await create_line(ctx, LineOwner(account), f"{root}/y", 1)
    return {}


async def _of_one(ctx: Context, number: int) -> dict[str, Any]:
    """Make one account with many roles and many lines, and one role with many lines."""
    root = f"i/{encode_id(str((await get_tenant(ctx.tenant_id)).uuid))}"
    name = f"one-{ctx.ids.secret_hex(4)}"
    roles = [f"{name}-{each}" for each in range(number)]
    for role in roles:
        await create_role(ctx, role)
    await create_account(ctx, name, AccountChanges(roles=roles))
    for each in range(number):
        await create_line(ctx, LineOwner(role=roles[0]), f"{root}/{each}", 1)
        await create_line(ctx, LineOwner(AccountKey(username=name)), f"{root}/{each}", 1)
    return {"name": name}


LINE = "id topic access username role"
ACCOUNT = f"username kind roles {{ name lines {{ {LINE} }} }} lines {{ {LINE} }}"
ONE = "query($name: String!) { mqttAccount(account: { username: $name }) { %s } }"

CASES: dict[str, tuple[Make, str]] = {
    "MqttAccountConnection.nodes": (_accounts, f"{{ mqttAccounts {{ nodes {{ {ACCOUNT} }} }} }}"),
    "MqttAccountConnection.edges": (
        _accounts,
        f"{{ mqttAccounts {{ edges {{ cursor node {{ {ACCOUNT} }} }} totalCount }} }}",
    ),
    "MqttRoleConnection.nodes": (
        _accounts,
        f"{{ mqttRoles {{ nodes {{ name lines {{ {LINE} }} }} }} }}",
    ),
    "MqttRoleConnection.edges": (_accounts, "{ mqttRoles { edges { cursor node { name } } } }"),
    "MqttAclConnection.nodes": (_accounts, f"{{ mqttAcl {{ nodes {{ {LINE} }} }} }}"),
    "MqttAclConnection.edges": (
        _accounts,
        f"{{ mqttAcl {{ edges {{ cursor node {{ {LINE} }} }} pageInfo {{ endCursor }} }} }}",
    ),
    "MqttAccount.roles": (_of_one, ONE % "roles { name }"),
    "MqttAccount.lines": (_of_one, ONE % f"lines {{ {LINE} }}"),
    "MqttRole.lines": (_of_one, ONE % f"roles {{ name lines {{ {LINE} }} }}"),
}
