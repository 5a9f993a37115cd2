from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.callers import Caller, Role, system_caller
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput
from core.paging import encode_cursor
from models.connection import fetch
from models.tenants import Tenant, find_tenant_named, first_tenant
from models.users import User
from resolvers import auth, tenants
from tests.factories import make_tenant, make_user
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


async def the_first(ctx: Context) -> Context:
    """Return the context of an owner of the first tenant, which is some earlier test's."""
    first = await first_tenant()
    assert first is not None
    return ctx.acting_as(Caller(Role.OWNER, first.id, user_id=ctx.ids.uuid()))


async def make(ctx: Context, name: str, **changes: str) -> tenants.NewTenant:
    values = {"owner_email": f"{ctx.ids.uuid().hex}@example.com"} | changes
    return await tenants.create_tenant(ctx, name, **values)


async def first_entries(tenant: Tenant) -> list[dict[str, Any]]:
    return await fetch(
        "select event_type, subject, details::text from audit_event where tenant_id = $1"
        " order by id",
        tenant.id,
    )


class TestCreateTenant:
    async def test_makes_an_owner_who_has_to_change_the_password(self, ctx: Context) -> None:
        name = f"t{ctx.ids.secret_hex(8)}"
        for by in (await the_first(ctx), ctx.acting_as(system_caller(0))):
            made = await make(by, name)
            assert made.password is not None
            owner = await User.find_row(made.row.id, id=made.owner.id)
            assert owner.username == owner.email
            assert (owner.role, owner.must_change_password) == (Role.OWNER, True)
            assert await ctx.passwords.verify(owner.password_hash, made.password)
            log = await first_entries(made.row)
            assert (log[-1]["event_type"], log[-1]["subject"]) == (
                *("user_created", f"user:{owner.id}"),
            )
            assert owner.email in log[-1]["details"]
            assert made.password not in str(log)
            name = f"{name}2"

    async def test_takes_a_name_and_a_password(self, ctx: Context) -> None:
        name = f"t{ctx.ids.secret_hex(8)}"
        made = await make(
            await the_first(ctx), name, owner_username=name, owner_password="no one knows it"
        )
        assert made.password is None
        assert made.owner.username == name
        assert await ctx.passwords.verify(made.owner.password_hash, "no one knows it")

    async def test_is_for_owners_of_the_first_tenant(self, ctx: Context) -> None:
        first = await the_first(ctx)
        admin = first.acting_as(replace(first.caller, role=Role.ADMIN))
        for by in (ctx, admin):
            with pytest.raises(Forbidden):
                await make(by, "never")
            with pytest.raises(Forbidden):
                await tenants.list_tenants(by)
        assert await find_tenant_named("never") is None

    async def test_of_those_at_once_with_one_name_one_is_made(self, ctx: Context) -> None:
        by, name = await the_first(ctx), f"t{ctx.ids.secret_hex(8)}"
        made = await asyncio.gather(*(make(by, name) for _ in range(4)), return_exceptions=True)
        refused = [each for each in made if isinstance(each, BaseException)]
        assert [type(error) for error in refused] == [Conflict] * 3

    async def test_a_refused_owner_leaves_no_tenant(self, ctx: Context) -> None:
        by, name = await the_first(ctx), f"t{ctx.ids.secret_hex(8)}"
        taken = await make_user(ctx)
        with pytest.raises(Conflict):
            await make(by, name, owner_email=taken.email.upper())
        for field, value in (
            ("owner_email", "nobody"),
            ("owner_password", "short"),
            ("owner_username", "x"),
            ("owner_username", "x y z"),
            ("owner_username", "somebody@example.com"),
            ("owner_email", "a b@example.com"),
        ):
            with pytest.raises(InvalidInput) as caught:
                await make(by, name, **{field: value})
            assert str(caught.value.facts["field"]).lower() == field.replace("_", "")
        assert await find_tenant_named(name) is None

    @pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00"])
    async def test_refuses_what_is_no_name(self, ctx: Context, name: str) -> None:
        with pytest.raises(InvalidInput):
            await make(await the_first(ctx), name)
        with pytest.raises(InvalidInput):
            await tenants.rename_tenant(ctx, name)


async def test_tenants_are_listed_by_name(ctx: Context) -> None:
    by, mark = await the_first(ctx), ctx.ids.secret_hex(8)
    names = [f"{mark}-{number}" for number in range(3)]
    for name in reversed([*names, names[0]]):
        await make_tenant(ctx.clock, ctx.ids, name)
    found: list[str] = []
    after = encode_cursor(f"0 {mark}")
    for _ in range(3):
        page = await tenants.list_tenants(by, 2, after)
        found += [row.name for row in page.items]
        after = page.cursors[-1]
    assert found[:4] == [names[0], *names]
    for bad in ("!", encode_cursor("x plant"), encode_cursor("1 \x00")):
        with pytest.raises(InvalidInput):
            await tenants.list_tenants(by, 2, bad)


async def test_a_tenant_is_renamed_by_its_own_owner(ctx: Context) -> None:
    name = f"t{ctx.ids.secret_hex(8)}"
    assert (await tenants.rename_tenant(ctx, f" {name} ")).name == name
    assert (await tenants.get_own_tenant(ctx)).name == name
    await tenants.rename_tenant(ctx, name)
    elsewhere = await make_tenant(ctx.clock, ctx.ids)
    there = ctx.acting_as(replace(ctx.caller, tenant_id=elsewhere.id))
    with pytest.raises(Conflict):
        await tenants.rename_tenant(there, name)
    with pytest.raises(Forbidden):
        await tenants.rename_tenant(ctx.acting_as(replace(ctx.caller, role=Role.ADMIN)), "mine")
    assert (await tenants.get_own_tenant(there)).name == "plant"


async def test_a_renamed_first_tenant_is_still_the_first_at_the_next_start(ctx: Context) -> None:
    first = await first_tenant()
    assert first is not None
    found = await tenants.bootstrap(
        ctx.acting_as(system_caller(0)),
        admin_email=f"{ctx.ids.uuid().hex}@example.com",
        admin_password="no one knows it",
    )
    assert found.id == first.id
