from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core.access import SCOPES
from core.callers import Caller, Role
from core.context import Context
from core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound
from core.policy import Registration
from models.connection import fetch
from models.invitations import Invitation
from models.users import User
from resolvers import accounts, auth, passwords
from tests.doubles import ManualClock
from tests.factories import make_tenant, make_user
from tests.resolvers.edge import nobody
from tests.resolvers.letters import assert_names_the_page, code_in, take_letters
from tests.resolvers.newcomers import audited, owner, person, stranger


async def test_who_was_invited_joins_with_the_role_by_the_mailed_code(ctx: Context) -> None:
    inviter = await owner(ctx)
    new = person(ctx)
    made = await accounts.create_invitation(inviter, new["email"].upper(), Role.MANAGER)
    (letter,) = await take_letters(ctx, new["email"].upper())
    assert code_in(letter) == made.token
    assert "Olga Owner" in letter.text
    assert_names_the_page(letter, ctx)
    by_invitation = stranger(ctx, Registration.INVITATION)
    signed_in = await accounts.register(by_invitation, **new, invitation_token=made.token)
    assert (signed_in.user.tenant_id, signed_in.user.role) == (ctx.tenant_id, Role.MANAGER)
    row = await Invitation.find_row(ctx.tenant_id, id=made.row.id)
    assert row.used_at is not None
    with pytest.raises(InvalidInput):
        await accounts.register(by_invitation, **person(ctx), invitation_token=made.token)


async def test_an_invitation_is_for_its_address(ctx: Context) -> None:
    made = await accounts.create_invitation(
        await owner(ctx), f"{ctx.ids.secret_hex(6)}@example.com", Role.VIEWER
    )
    with pytest.raises(InvalidInput) as caught:
        await accounts.register(stranger(ctx), **person(ctx), invitation_token=made.token)
    assert caught.value.facts["field"] == "email"


async def test_of_those_who_use_one_invitation_at_once_one_comes_in(ctx: Context) -> None:
    new = person(ctx)
    made = await accounts.create_invitation(await owner(ctx), new["email"], Role.VIEWER)
    results = await asyncio.gather(
        *(
            accounts.register(
                stranger(ctx),
                **(new | {"username": f"{new['username']}-{at}"}),
                invitation_token=made.token,
            )
            for at in range(5)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(each, auth.SignedIn) for each in results) == 1
    assert all(isinstance(each, auth.SignedIn | AppError) for each in results)


async def bad_tokens(ctx: Context) -> dict[str, tuple[str, str]]:
    """Return addresses and tokens that do not hold for them, by what is wrong."""
    inviter = await owner(ctx)

    async def invite(what: str, context: Context = inviter) -> accounts.NewInvitation:
        unique = ctx.ids.secret_hex(4)
        return await accounts.create_invitation(context, f"{what}-{unique}@example.com", Role.ADMIN)

    past = replace(inviter, clock=ManualClock(ctx.clock.now() - timedelta(days=8)))
    fallen, gone, closed = await owner(ctx), await owner(ctx), await owner(ctx)
    made = {
        "expired": await invite("expired", past),
        "of-fallen": await invite("of-fallen", fallen),
        "of-gone": await invite("of-gone", gone),
        "of-closed": await invite("of-closed", closed),
        "replaced": await invite("replaced"),
        "revoked": await invite("revoked"),
    }
    await User.of(ctx.tenant_id, id=fallen.caller.user_id).update(role=Role.MANAGER)
    await User.of(ctx.tenant_id, id=gone.caller.user_id).delete()
    await User.of(ctx.tenant_id, id=closed.caller.user_id).update(is_active=False)
    await accounts.create_invitation(inviter, made["replaced"].row.email.upper(), Role.ADMIN)
    await accounts.revoke_invitation(inviter, made["revoked"].row.id)
    user = await make_user(ctx)
    await passwords.request_password_reset(nobody(ctx), user.email)
    (reset,) = await take_letters(ctx, user.email)
    good = await invite("good")
    near = {
        "of another kind": code_in(reset),
        "truncated": good.token[:-1],
        "long": good.token * 1_000,
        "with nul": f"{good.token}\x00",
        "with half characters": "\ud800",
        "an id": str(good.row.id),
    }
    return {what: (each.row.email, each.token) for what, each in made.items()} | {
        what: (good.row.email, token) for what, token in near.items()
    }


async def test_a_token_that_does_not_hold_is_refused_and_recorded(ctx: Context) -> None:
    messages = set()
    for what, (email, token) in (await bad_tokens(ctx)).items():
        new = person(ctx, email=email)
        with pytest.raises(InvalidInput) as caught:
            await accounts.register(
                replace(stranger(ctx), request_id=what), **new, invitation_token=token
            )
        messages.add((caught.value.message, caught.value.facts["field"]))
        events = await fetch("select event_type from audit_event where request_id = $1", what)
        assert [event["event_type"] for event in events] == ["authentication_failed"], what
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("inviting", "role", "allowed"),
    [
        (Role.OWNER, Role.OWNER, True),
        (Role.ADMIN, Role.ADMIN, True),
        (Role.ADMIN, Role.OWNER, False),
        (Role.MANAGER, Role.VIEWER, True),
        (Role.MANAGER, Role.ADMIN, False),
    ],
)
async def test_nobody_invites_above_themselves(
    ctx: Context, inviting: Role, role: Role, allowed: bool
) -> None:
    inviter = await owner(ctx, inviting)
    address = f"{ctx.ids.secret_hex(6)}@example.com"
    if allowed:
        made = await accounts.create_invitation(inviter, address, role)
        assert made.row.role is role
        return
    with pytest.raises(Forbidden):
        await accounts.create_invitation(inviter, address, role)
    assert await take_letters(ctx, address) == []
    above = await accounts.create_invitation(await owner(ctx), address, role)
    with pytest.raises(Forbidden):
        await accounts.revoke_invitation(inviter, above.row.id)


async def test_a_narrow_api_key_invites_only_to_what_it_may_do(ctx: Context) -> None:
    inviter = await owner(ctx)
    narrow = replace(
        inviter.caller, api_key_id=UUID(int=1), scopes=frozenset(s for s in SCOPES if "user" in s)
    )
    with pytest.raises(Forbidden):
        await accounts.create_invitation(ctx.acting_as(narrow), "someone@example.com", Role.MANAGER)


@pytest.mark.parametrize("role", [Role.AGENT, Role.SYSTEM, Role.NOBODY])
async def test_nobody_is_invited_to_be_a_machine(ctx: Context, role: Role) -> None:
    with pytest.raises(InvalidInput):
        await accounts.create_invitation(await owner(ctx), "x@example.com", role)


async def test_nobody_is_invited_who_has_an_account(ctx: Context) -> None:
    user = await make_user(ctx)
    with pytest.raises(Conflict):
        await accounts.create_invitation(await owner(ctx), user.email.upper(), Role.VIEWER)


async def test_pages_through_all_invitations_of_the_tenant_newest_first(ctx: Context) -> None:
    inviter = await owner(ctx)
    made = [
        (await accounts.create_invitation(inviter, f"p{at}@example.com", Role.VIEWER)).row.id
        for at in range(5)
    ]
    other = ctx.acting_as(
        Caller(Role.OWNER, (await make_tenant(ctx.clock, ctx.ids)).id, user_id=UUID(int=1))
    )
    assert (await accounts.list_invitations(other)).total == 0
    with pytest.raises(NotFound):
        await accounts.revoke_invitation(other, made[0])
    seen: list[UUID] = []
    after = None
    while True:
        page = await accounts.list_invitations(inviter, 2, after)
        assert page.total == 5
        seen += [row.id for row in page.items]
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert seen == made[::-1]
    for cursor in ("", "zz", "MTIz"):
        with pytest.raises(InvalidInput):
            await accounts.list_invitations(inviter, 2, cursor)


async def test_voiding_twice_is_voiding_once_and_never_the_used(ctx: Context) -> None:
    inviter = await owner(ctx)
    new = person(ctx)
    made = await accounts.create_invitation(inviter, new["email"], Role.VIEWER)
    first = await accounts.revoke_invitation(inviter, made.row.id)
    again = await accounts.revoke_invitation(inviter, made.row.id)
    assert first.revoked_at == again.revoked_at
    types = [event["event_type"] for event in await audited(ctx, f"invitation:{made.row.id}")]
    assert types == ["user_invited", "invitation_revoked"]
    used = await accounts.create_invitation(inviter, new["email"], Role.VIEWER)
    await accounts.register(stranger(ctx), **new, invitation_token=used.token)
    with pytest.raises(Conflict):
        await accounts.revoke_invitation(inviter, used.row.id)
