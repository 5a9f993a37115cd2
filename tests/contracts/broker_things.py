"""An account on the broker with a role and a line: what a tenant of the contracts has of each."""

from __future__ import annotations

from dataclasses import dataclass

from core.context import Context
from core.mqtt_topics import encode_id
from models.tenants import get_tenant
from resolvers.broker_accounts import AccountChanges, AccountKey, create_account
from resolvers.broker_roles import LineOwner, create_line, create_role


@dataclass(frozen=True)
class BrokerThings:
    """Account and role are called by the tenant's mark; `root` begins the tenant's topics."""

    account_id: int
    line_id: int
    root: str


async def broker_things(ctx: Context, mark: str) -> BrokerThings:
    """Make them."""
    root = f"i/{encode_id(str((await get_tenant(ctx.tenant_id)).uuid))}/"
    await create_role(ctx, mark, mark)
    made = await create_account(ctx, mark, AccountChanges(roles=[mark], description=mark))
    await create_line(ctx, LineOwner(role=mark), f"{root}{mark}", 1)
    line = await create_line(ctx, LineOwner(AccountKey(made.row.id)), f"{root}{mark}", 1)
    return BrokerThings(made.row.id, line.id, root)
