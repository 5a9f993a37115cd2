from __future__ import annotations

import asyncio

import pytest

from core.callers import Role, system_caller
from core.context import Context
from core.errors import InvalidInput
from models.tenants import Tenant
from models.users import User
from resolvers import auth, tenants
from tests.resolvers.edge import nobody


async def start(ctx: Context, name: str, password: str = "first password") -> Tenant:
    return await tenants.bootstrap(
        ctx.acting_as(system_caller(0)),
        admin_email=f"owner@{name}.example.com",
        admin_password=password,
        tenant_name=name,
    )


async def test_makes_the_tenant_and_its_owner_once(ctx: Context) -> None:
    name = f"t{ctx.ids.secret_hex(8)}"
    first = await start(ctx, name)
    again = await start(ctx, name, "second password")
    assert again.id == first.id
    (owner,) = await User.of(first.id)
    assert owner.role is Role.OWNER
    assert owner.username in {"admin", owner.email}
    result = await auth.login(nobody(ctx), f"owner@{name}.example.com", "first password")
    assert result.user.id == owner.id


async def test_programs_that_start_together_make_one(ctx: Context) -> None:
    name = f"t{ctx.ids.secret_hex(8)}"
    made = await asyncio.gather(*(start(ctx, name) for _ in range(5)))
    assert len({tenant.id for tenant in made}) == 1
    assert await User.of(made[0].id).count() == 1


async def test_leaves_an_owner_alone_who_has_changed(ctx: Context) -> None:
    name = f"t{ctx.ids.secret_hex(8)}"
    tenant = await start(ctx, name)
    (owner,) = await User.of(tenant.id)
    owner.email = owner.username = f"new@{name}.example.com"
    await owner.save()
    await start(ctx, name)
    assert await User.of(tenant.id).count() == 1


@pytest.mark.parametrize(("email", "password"), [("nobody", "long enough"), ("a@b", "short")])
async def test_refuses_an_owner_nobody_could_be(ctx: Context, email: str, password: str) -> None:
    with pytest.raises(InvalidInput):
        await tenants.bootstrap(
            ctx.acting_as(system_caller(0)),
            admin_email=email,
            admin_password=password,
            tenant_name=f"t{ctx.ids.secret_hex(8)}",
        )
