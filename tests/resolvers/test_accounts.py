from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from core.callers import Role
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, RateLimited
from core.policy import Registration
from core.rate_limits import RateScope
from models.tenants import first_tenant
from models.users import User
from resolvers import accounts, auth
from tests.factories import make_tenant, make_user
from tests.resolvers.edge import nobody
from tests.resolvers.newcomers import PASSWORD, CountingLimits, audited, owner, person, stranger


async def test_everybody_joins_the_first_tenant_as_viewer_and_is_signed_in(ctx: Context) -> None:
    new = person(ctx)
    signed_in = await accounts.register(stranger(ctx), **new)
    first = await first_tenant()
    assert first is not None
    caller = await auth.caller_from_token(nobody(ctx), signed_in.access_token)
    assert (caller.role, caller.tenant_id, caller.scopes) == (Role.VIEWER, first.id, None)
    assert signed_in.refresh_token
    row = await User.find_row(first.id, id=signed_in.user.id)
    assert (row.username, row.email, row.full_name) == (
        new["username"],
        new["email"],
        "Nora New",
    )
    assert not row.must_change_password
    again = await auth.login(nobody(ctx), new["email"].upper(), PASSWORD)
    assert again.user.id == row.id
    event = (await audited(ctx, f"user:{row.id}"))[0]
    assert event["event_type"] == "user_registered"
    assert (event["tenant_id"], event["user_id"]) == (first.id, row.id)
    assert PASSWORD not in event["details"]


@pytest.mark.parametrize("registration", [Registration.INVITATION, Registration.CLOSED])
async def test_uninvited_nobody_registers_unless_it_is_open(
    ctx: Context, registration: Registration
) -> None:
    with pytest.raises(Forbidden):
        await accounts.register(stranger(ctx, registration), **person(ctx))


async def test_closed_means_closed_for_the_invited_too(ctx: Context) -> None:
    inviter = await owner(ctx)
    made = await accounts.create_invitation(inviter, "late@example.com", Role.VIEWER)
    closed = stranger(ctx, Registration.CLOSED)
    with pytest.raises(Forbidden):
        await accounts.register(closed, **person(ctx), invitation_token=made.token)
    with pytest.raises(Forbidden):
        await accounts.create_invitation(
            replace(inviter, policy=closed.policy), "x@example.com", Role.VIEWER
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "x" * 101),
        ("username", "a b c"),
        ("username", "a@b.c"),
        ("username", "ab\x00c"),
        ("username", "ab\ud800"),
        ("email", "nobody"),
        ("email", "a@b@c"),
        ("email", "a b@c.d"),
        ("email", "a,b@example.com"),
        ("email", "<a>@example.com"),
        ("email", "a@example.com\r\nBcc: b@example.com"),
        ("email", "x" * 250 + "@b.cd"),
        ("password", "elevenchars"),
        ("password", "x" * 1_001),
        ("password", "password1234"),
        ("fullName", "x" * 201),
        ("fullName", "a\x00b"),
    ],
)
async def test_names_the_field_that_no_account_can_have(
    ctx: Context, field: str, value: str
) -> None:
    argument = "full_name" if field == "fullName" else field
    with pytest.raises(InvalidInput) as caught:
        await accounts.register(stranger(ctx), **person(ctx, **{argument: value}))
    assert caught.value.facts["field"] == field


async def test_the_own_address_may_be_the_name(ctx: Context) -> None:
    email = f"{ctx.ids.secret_hex(8)}@example.com"
    made = await accounts.register(
        stranger(ctx), **person(ctx, username=email.title(), email=email)
    )
    assert (made.user.username, made.user.email) == (email.title(), email)


@pytest.mark.parametrize("field", ["username", "email"])
async def test_refuses_a_login_that_somebody_of_any_tenant_has(ctx: Context, field: str) -> None:
    other = await make_tenant(ctx.clock, ctx.ids)
    taken = await make_user(ctx, tenant_id=other.id)
    with pytest.raises(Conflict) as caught:
        await accounts.register(
            stranger(ctx), **person(ctx, **{field: getattr(taken, field).upper()})
        )
    assert caught.value.facts["field"] == field


async def test_of_those_who_want_one_name_at_once_one_gets_it(ctx: Context) -> None:
    name = f"rush-{ctx.ids.secret_hex(6)}"
    results = await asyncio.gather(
        *(accounts.register(stranger(ctx), **person(ctx, username=name.title())) for _ in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, auth.SignedIn) for each in results) == 1
    assert sum(isinstance(each, Conflict) for each in results) == 5


async def test_attempts_are_counted_by_address_before_anything_else(ctx: Context) -> None:
    limits = CountingLimits("address:203.0.113.7")
    with pytest.raises(RateLimited):
        await accounts.register(replace(stranger(ctx), limits=limits), **person(ctx, email=""))
    assert limits.hits == [(RateScope.AUTH, ("address:203.0.113.7",))]
