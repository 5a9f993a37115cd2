"""Accounts, colleagues, API keys and tenants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.callers import Caller
from core.context import Context
from models.tenants import first_tenant
from resolvers.api_keys import create_api_key
from tests.factories import make_tenant, make_user
from tests.schema.lists.case import Make


async def _people(ctx: Context, number: int) -> dict[str, Any]:
    for _ in range(number):
        await make_user(ctx)
    return {}


async def _keys(ctx: Context, number: int) -> dict[str, Any]:
    for at in range(number):
        user = await make_user(ctx, role="owner")
        maker = ctx.acting_as(Caller(user.role, ctx.tenant_id, user_id=user.id))
        await create_api_key(maker, f"key {number} {at}")
    return {}


async def _tenants(ctx: Context, number: int) -> dict[str, Any]:
    for _ in range(number):
        await make_tenant(ctx.clock, ctx.ids)
    first = await first_tenant()
    assert first is not None
    # They are listed for owners of the first tenant only, which is some earlier test's.
    object.__setattr__(ctx, "caller", replace(ctx.caller, tenant_id=first.id))
    return {}


ACCOUNT = "id username email role isActive"
PERSON = "id username fullName role"
KEY = "id name scopes isActive owner { username }"

CASES: dict[str, tuple[Make, str]] = {
    "UserConnection.nodes": (
        _people,
        f"{{ users {{ totalCount nextCursor nodes {{ {ACCOUNT} }} }} }}",
    ),
    "UserConnection.edges": (_people, f"{{ users {{ edges {{ cursor node {{ {ACCOUNT} }} }} }} }}"),
    "PersonConnection.nodes": (_people, f"{{ people {{ totalCount nodes {{ {PERSON} }} }} }}"),
    "PersonConnection.edges": (
        _people,
        f"{{ people {{ edges {{ cursor node {{ {PERSON} }} }} pageInfo {{ endCursor }} }} }}",
    ),
    "ApiKeyConnection.nodes": (
        _keys,
        f"{{ apiKeys {{ totalCount nextCursor nodes {{ {KEY} }} }} }}",
    ),
    "ApiKeyConnection.edges": (
        _keys,
        f"{{ apiKeys {{ edges {{ cursor node {{ {KEY} }} }} pageInfo {{ endCursor }} }} }}",
    ),
    "TenantConnection.nodes": (_tenants, "{ tenants { totalCount nodes { id name } } }"),
    "TenantConnection.edges": (
        _tenants,
        "{ tenants { edges { cursor node { id } } pageInfo { endCursor } } }",
    ),
}
