from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.callers import Role
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from core.passwords import Passwords
from core.tokens import Tokens
from models.users import User
from resolvers import auth
from tests.doubles import ManualClock
from tests.factories import make_tenant, make_user
from tests.resolvers.edge import nobody

PASSWORD = "correct horse battery"


class CountingPasswords(Passwords):
    """Counts how often a password is compared, since that is what takes the time."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_kib=8, parallelism=1)
        self.compared = 0

    async def _matches(self, encoded: str, password: str) -> bool:
        self.compared += 1
        return await super()._matches(encoded, password)


@pytest.mark.parametrize("by", ["username", "email"])
@pytest.mark.parametrize("change", [str, str.upper])
async def test_signs_in_by_name_or_address_in_any_case(ctx: Context, by: str, change: Any) -> None:
    user = await make_user(ctx, PASSWORD)
    result = await auth.login(nobody(ctx), change(getattr(user, by)), PASSWORD)
    assert result.user.id == user.id
    assert (result.expires_at - ctx.clock.now()).total_seconds() == pytest.approx(900, abs=5)
    caller = await auth.caller_from_token(nobody(ctx), result.access_token)
    assert (caller.role, caller.tenant_id, caller.user_id) == (
        Role.VIEWER,
        ctx.tenant_id,
        user.id,
    )
    row = await User.find_row(ctx.tenant_id, id=user.id)
    assert row.last_login_at is not None


async def test_refuses_all_alike_and_after_one_comparison(ctx: Context) -> None:
    passwords = CountingPasswords()
    ctx = replace(ctx, passwords=passwords)
    user = await make_user(ctx, PASSWORD)
    inactive = await make_user(ctx, PASSWORD, is_active=False)
    messages = set()
    for name, password in [
        ("nobody-of-this-name", PASSWORD),
        (user.username, "wrong"),
        (inactive.username, PASSWORD),
        (inactive.username, "wrong"),
    ]:
        before = passwords.compared
        with pytest.raises(Unauthenticated) as caught:
            await auth.login(nobody(ctx), name, password)
        messages.add((caught.value.message, str(caught.value.facts)))
        assert passwords.compared == before + 1
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("name", "password", "field"), [("", "x", "username"), ("x", "", "password")]
)
async def test_names_what_is_missing(ctx: Context, name: str, password: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await auth.login(nobody(ctx), name, password)
    assert caught.value.facts["field"] == field


@pytest.mark.parametrize(
    ("name", "password"),
    [("x" * 255, "x"), ("x", "x" * 1001), ("a\x00b", "x"), ("' or 1=1--", "x")],
)
async def test_refuses_strange_input_without_stumbling(
    ctx: Context, name: str, password: str
) -> None:
    with pytest.raises(Unauthenticated):
        await auth.login(nobody(ctx), name, password)


async def test_makes_a_new_hash_when_the_cost_has_changed(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    dearer = Passwords(time_cost=2, memory_kib=16, parallelism=1)
    await auth.login(replace(nobody(ctx), passwords=dearer), user.username, PASSWORD)
    row = await User.find_row(ctx.tenant_id, id=user.id)
    assert not dearer.needs_rehash(row.password_hash)
    await auth.login(replace(nobody(ctx), passwords=dearer), user.username, PASSWORD)


async def test_reads_the_role_of_this_moment(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    token = (await auth.login(nobody(ctx), user.username, PASSWORD)).access_token
    user.role = Role.MANAGER
    await user.save()
    assert (await auth.caller_from_token(nobody(ctx), token)).role is Role.MANAGER
    user.is_active = False
    await user.save()
    with pytest.raises(Forbidden):
        await auth.caller_from_token(nobody(ctx), token)
    await user.delete()
    with pytest.raises(Unauthenticated):
        await auth.caller_from_token(nobody(ctx), token)


async def test_a_token_ends(ctx: Context) -> None:
    clock = ManualClock(ctx.clock.now())
    ctx = replace(ctx, clock=clock, tokens=Tokens("s" * 32, clock))
    user = await make_user(ctx, PASSWORD)
    token = (await auth.login(nobody(ctx), user.username, PASSWORD)).access_token
    clock.advance(seconds=901)
    with pytest.raises(Unauthenticated):
        await auth.caller_from_token(nobody(ctx), token)


async def test_a_token_for_a_user_of_another_tenant_holds_nothing(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    other = await make_tenant(ctx.clock, ctx.ids)
    token, _ = ctx.tokens.issue(user.id, other.id, ctx.ids.uuid())
    with pytest.raises(Unauthenticated):
        await auth.caller_from_token(nobody(ctx), token)


async def test_tells_people_who_they_are(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    me = ctx.acting_as(replace(ctx.caller, user_id=user.id))
    assert (await auth.who_am_i(me)).id == user.id
    with pytest.raises(NotFound):
        await auth.who_am_i(ctx)
