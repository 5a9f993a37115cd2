from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.callers import Caller, Role
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, RateLimited, Unauthenticated
from core.passwords import Passwords
from core.rate_limits import RateScope, RateState
from core.tokens import Tokens
from models.connection import fetch
from models.sessions import Session
from models.users import User
from resolvers import auth, sessions
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


async def events_of(user: User) -> list[str]:
    rows = await fetch(
        "select event_type from audit_event where tenant_id = $1 and user_id = $2 order by id",
        user.tenant_id,
        user.id,
    )
    return [row["event_type"] for row in rows]


async def sessions_in_events_of(user: User) -> list[UUID | None]:
    rows = await fetch(
        "select session_id from audit_event where tenant_id = $1 and user_id = $2 order by id",
        user.tenant_id,
        user.id,
    )
    return [row["session_id"] for row in rows]


async def test_a_login_opens_a_session_and_is_recorded(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    me = replace(nobody(ctx), remote_address="192.0.2.7", user_agent="a" * 400)
    result = await auth.login(me, user.username, PASSWORD)
    session = await Session.find_row(ctx.tenant_id, id=result.session_id)
    assert (session.user_id, session.remote_address) == (user.id, "192.0.2.7")
    assert session.user_agent == "a" * 300
    assert (await auth.caller_from_token(me, result.access_token)).session_id == session.id
    with pytest.raises(Unauthenticated):
        await auth.login(me, user.username, "wrong")
    assert await events_of(user) == ["user_login", "login_failed"]
    assert await sessions_in_events_of(user) == [session.id, None]


async def test_a_refresh_is_recorded_with_its_session(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    result = await auth.login(nobody(ctx), user.username, PASSWORD)
    await sessions.refresh(nobody(ctx), result.refresh_token or "")
    assert await sessions_in_events_of(user) == [result.session_id] * 2


async def test_no_spelling_of_a_name_escapes_its_limit_of_attempts(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD, username=f"indigo-{ctx.ids.secret_hex(6)}")
    await auth.login(nobody(ctx), user.username.upper(), PASSWORD)
    with pytest.raises(Unauthenticated):
        await auth.login(nobody(ctx), user.username.replace("i", "\u0130"), PASSWORD)


async def test_name_and_address_share_one_budget(ctx: Context) -> None:
    class Counting:
        async def check(self, scope: RateScope, key: str) -> None:
            pass

        async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
            counted.extend(keys)
            return None

    counted: list[str] = []
    user = await make_user(ctx, PASSWORD)
    me = replace(nobody(ctx), limits=Counting())
    for name in (user.username, user.email.upper()):
        await auth.login(me, name, PASSWORD)
    assert counted.count(f"login:{user.id}") == 2


async def test_logins_are_counted_before_a_password_is_compared(ctx: Context) -> None:
    class Full:
        async def check(self, scope: RateScope, key: str) -> None:
            pass

        async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
            assert scope is RateScope.AUTH
            counted.extend(keys)
            raise RateLimited("slow down", retry_after_seconds=1)

    counted: list[str] = []
    passwords = CountingPasswords()
    me = replace(nobody(ctx), limits=Full(), passwords=passwords, remote_address="192.0.2.7")
    for name in ("Somebody", "x" * 100_000):
        with pytest.raises(RateLimited):
            await auth.login(me, name, PASSWORD)
    assert counted[:2] == ["address:192.0.2.7", "account:somebody"]
    assert len(counted[3]) < 300
    assert passwords.compared == 0


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password_changed_at": datetime(2026, 1, 1, tzinfo=UTC)}],
)
async def test_a_password_that_was_good_a_moment_ago_opens_nothing(
    ctx: Context, change: dict[str, Any]
) -> None:
    user = await make_user(ctx, PASSWORD)

    class Slow(CountingPasswords):
        async def _matches(self, encoded: str, password: str) -> bool:
            matches = await super()._matches(encoded, password)
            await User.of(ctx.tenant_id, id=user.id).update(**change)
            return matches

    with pytest.raises(Unauthenticated):
        await auth.login(replace(nobody(ctx), passwords=Slow()), user.username, PASSWORD)
    assert not await Session.of(ctx.tenant_id, user_id=user.id).exists()


async def test_logins_at_once_agree_on_one_new_hash(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    dearer = replace(nobody(ctx), passwords=Passwords(time_cost=2, memory_kib=16, parallelism=1))
    await asyncio.gather(*(auth.login(dearer, user.username, PASSWORD) for _ in range(5)))
    row = await User.find_row(ctx.tenant_id, id=user.id)
    assert not dearer.passwords.needs_rehash(row.password_hash)
    assert await dearer.passwords.verify(row.password_hash, PASSWORD)


async def test_a_token_is_good_for_its_session_only(ctx: Context) -> None:
    user, other = await make_user(ctx, PASSWORD), await make_user(ctx, PASSWORD)
    theirs = await auth.login(nobody(ctx), other.username, PASSWORD)
    for session_id in (theirs.session_id, ctx.ids.uuid()):
        token, _ = ctx.tokens.issue(user.id, ctx.tenant_id, session_id)
        with pytest.raises(Unauthenticated):
            await auth.caller_from_token(nobody(ctx), token)


async def test_a_login_with_a_token_of_another_tenant_is_a_login(ctx: Context) -> None:
    user = await make_user(ctx, PASSWORD)
    other = await make_tenant(ctx.clock, ctx.ids)
    elsewhere = ctx.acting_as(Caller(Role.VIEWER, other.id, user_id=ctx.ids.uuid()))
    result = await auth.login(elsewhere, user.username, PASSWORD)
    assert result.user.tenant_id == ctx.tenant_id
    assert result.refresh_token is not None
    assert (await sessions.refresh(elsewhere, result.refresh_token)).session_id == result.session_id
