"""Smallest valid rows; everything else by keyword."""

from __future__ import annotations

from typing import Any

from core.clock import Clock
from core.context import Context
from core.ids import Ids
from models.agents import Agent, ProvisioningState
from models.tenants import Tenant
from models.users import User


async def make_tenant(clock: Clock, ids: Ids, name: str = "plant") -> Tenant:
    return await Tenant.create(uuid=ids.uuid(), name=name, created_at=clock.now())


async def make_user(ctx: Context, password: str = "correct horse battery", **changes: Any) -> User:
    unique = ctx.ids.uuid().hex
    values: dict[str, Any] = {
        "id": ctx.ids.uuid(),
        "tenant_id": ctx.tenant_id,
        "username": f"user-{unique}",
        "email": f"{unique}@example.com",
        "password_hash": await ctx.passwords.hash(password),
        "role": "viewer",
        "created_at": ctx.clock.now(),
    }
    return await User.create(**(values | changes))


async def make_agent(ctx: Context, **changes: Any) -> Agent:
    now = ctx.clock.now()
    values: dict[str, Any] = {
        "tenant_id": ctx.tenant_id,
        "uuid": ctx.ids.uuid(),
        "name": "press-01",
        "type": "gateway",
        "provisioning_state": ProvisioningState.PROVISIONED,
        "public_key": "",
        "created_at": now,
        "changed_at": now,
        "provisioned_at": now,
    }
    return await Agent.create(**(values | changes))
