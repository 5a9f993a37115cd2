from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asyncpg import Connection

from core.callers import Caller, Role
from core.context import Context
from core.errors import Conflict, InvalidInput, RateLimited, Unauthenticated
from core.events import AccessChanged
from core.passwords import Passwords
from models.connection import fetch
from models.unit_of_work import unit_of_work
from models.users import User
from resolvers import accounts, auth, passwords, sessions
from resolvers.auth import SignedIn
from tests.doubles import ManualClock
from tests.factories import make_user
from tests.resolvers.edge import nobody, published
from tests.resolvers.letters import assert_names_the_page, code_in, take_letters
from tests.resolvers.newcomers import CountingLimits

OLD = "correct horse battery"
NEW = "another horse's staple"


async def sign_in(ctx: Context, user: User) -> tuple[SignedIn, Context]:
    signed_in = await auth.login(nobody(ctx), user.username, OLD)
    caller = await auth.caller_from_token(nobody(ctx), signed_in.access_token)
    return signed_in, ctx.acting_as(caller)


async def is_open(ctx: Context, signed_in: SignedIn) -> bool:
    try:
        await auth.caller_from_token(nobody(ctx), signed_in.access_token)
        if signed_in.refresh_token:
            await sessions.refresh(nobody(ctx), signed_in.refresh_token, rotate=False)
    except Unauthenticated:
        return False
    return True


async def events_of(user: User) -> list[str]:
    rows = await fetch(
        "select event_type from audit_event where tenant_id = $1 and user_id = $2"
        " order by created_at",
        user.tenant_id,
        user.id,
    )
    return [row["event_type"] for row in rows]


async def code_for(ctx: Context, user: User) -> str:
    await passwords.request_password_reset(nobody(ctx), user.email)
    return code_in((await take_letters(ctx, user.email))[-1])


async def test_a_change_ends_all_sessions_but_the_one_it_came_by(ctx: Context) -> None:
    user = await make_user(ctx, OLD, must_change_password=False)
    mine, me = await sign_in(ctx, user)
    other, _ = await sign_in(ctx, user)
    code = await code_for(ctx, user)
    await passwords.change_password(me, OLD, NEW)
    assert await is_open(ctx, mine)
    assert not await is_open(ctx, other)
    assert [event.session_id for event in published(ctx, AccessChanged)] == [other.session_id]
    with pytest.raises(Unauthenticated):
        await auth.login(nobody(ctx), user.username, OLD)
    await auth.login(nobody(ctx), user.username, NEW)
    with pytest.raises(InvalidInput):
        await passwords.confirm_password_reset(nobody(ctx), code, "a third horse's name")
    (letter,) = await take_letters(ctx, user.email)
    assert "was changed" in letter.text
    assert_names_the_page(letter, ctx)
    assert "password_changed" in await events_of(user)


async def test_who_has_to_change_may_do_that_and_then_everything(ctx: Context) -> None:
    user = await make_user(ctx, OLD, must_change_password=True)
    signed_in, me = await sign_in(ctx, user)
    await passwords.change_password(me, OLD, NEW)
    caller = await auth.caller_from_token(nobody(ctx), signed_in.access_token)
    assert caller.scopes is None
    row = await User.find_row(ctx.tenant_id, id=user.id)
    assert not row.must_change_password
    assert row.password_changed_at is not None


async def test_a_wrong_current_password_changes_nothing_and_is_recorded(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    mine, me = await sign_in(ctx, user)
    limits = CountingLimits()
    with pytest.raises(Unauthenticated):
        await passwords.change_password(replace(me, limits=limits), "wrong", NEW)
    ((_, keys),) = limits.hits
    assert f"password:{user.id}" in keys
    assert "password_change_failed" in await events_of(user)
    assert await is_open(ctx, mine)
    await auth.login(nobody(ctx), user.username, OLD)
    full = CountingLimits(f"password:{user.id}")
    with pytest.raises(RateLimited):
        await passwords.change_password(replace(me, limits=full), OLD, NEW)


@pytest.mark.parametrize("new", ["", "short", OLD, "password1234", "x" * 1_001])
async def test_a_new_password_is_new_and_good(ctx: Context, new: str) -> None:
    user = await make_user(ctx, OLD)
    _, me = await sign_in(ctx, user)
    with pytest.raises(InvalidInput) as caught:
        await passwords.change_password(me, OLD, new)
    assert caught.value.facts["field"] == "newPassword"
    await auth.login(nobody(ctx), user.username, OLD)


async def test_the_same_text_typed_elsewhere_signs_in(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    _, me = await sign_in(ctx, user)
    await passwords.change_password(me, OLD, "Zu\u0308richer Geschnetzeltes")
    await auth.login(nobody(ctx), user.username, "Z\u00fcricher Geschnetzeltes")


async def test_a_reset_sets_the_password_and_ends_every_session(ctx: Context) -> None:
    user = await make_user(ctx, OLD, full_name="Rita <b>Reset</b>", must_change_password=True)
    first, me = await sign_in(ctx, user)
    await passwords.request_password_reset(nobody(ctx), user.email.upper())
    (letter,) = await take_letters(ctx, user.email)
    assert "60 minutes" in letter.text
    assert_names_the_page(letter, ctx)
    assert "Rita <b>Reset" in letter.text
    assert "Rita &lt;b&gt;Reset" in letter.html
    # Even by somebody who is signed in as the person.
    await passwords.confirm_password_reset(me, code_in(letter), NEW)
    assert not await is_open(ctx, first)
    signed_in = await auth.login(nobody(ctx), user.username, NEW)
    assert signed_in.refresh_token
    (notice,) = await take_letters(ctx, user.email)
    assert "was changed" in notice.text
    assert {"password_reset_requested", "password_reset_completed"} <= set(await events_of(user))


async def test_of_two_who_use_one_code_at_once_one_wins(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    code = await code_for(ctx, user)
    tries = [f"horse number {at} of many" for at in range(5)]
    results = await asyncio.gather(
        *(passwords.confirm_password_reset(nobody(ctx), code, each) for each in tries),
        return_exceptions=True,
    )
    (winner,) = [at for at, result in enumerate(results) if result is None]
    assert sum(isinstance(result, InvalidInput) for result in results) == 4
    await auth.login(nobody(ctx), user.username, tries[winner])


def ago(ctx: Context, seconds: int) -> Context:
    return replace(ctx, clock=ManualClock(ctx.clock.now() - timedelta(seconds=seconds)))


async def bad_codes(ctx: Context, user: User) -> dict[str, str]:
    """Return codes that do not hold, by what is wrong with them."""
    admin = await make_user(ctx, role=Role.OWNER)
    inviter = ctx.acting_as(Caller(Role.OWNER, ctx.tenant_id, user_id=admin.id))
    address = f"{ctx.ids.secret_hex(6)}@example.com"
    invitation = await accounts.create_invitation(inviter, address, Role.VIEWER)
    gone = await make_user(ctx, OLD)
    of_gone = await code_for(ctx, gone)
    await gone.delete()
    closed = await make_user(ctx, OLD)
    of_closed = await code_for(ctx, closed)
    await User.of(ctx.tenant_id, id=closed.id).update(is_active=False)
    expired = await code_for(ago(ctx, 3_601), user)
    replaced = await code_for(ago(ctx, 61), user)
    used_by = await make_user(ctx, OLD)
    used = await code_for(ctx, used_by)
    await passwords.confirm_password_reset(nobody(ctx), used, NEW)
    async with unit_of_work(ctx) as work:
        refresh = (await SignedIn.begin(ctx, work, user)).refresh_token
    return {
        "used": used,
        "replaced": replaced,
        "expired": expired,
        "of somebody who is gone": of_gone,
        "of an account that is closed": of_closed,
        "of another kind": invitation.token,
        "a refresh token": str(refresh),
        "truncated": (await code_for(ctx, user))[:-1],
        "long": "x" * 100_000,
        "with nul": "x\x00y",
        "with half characters": "\ud800",
        "letters of elsewhere": "\u043a\u043e\u0434",
    }


async def test_a_code_that_does_not_hold_is_refused_and_recorded(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    messages = set()
    for what, code in (await bad_codes(ctx, user)).items():
        with pytest.raises(InvalidInput) as caught:
            await passwords.confirm_password_reset(
                replace(nobody(ctx), request_id=f"reset {what}"), code, NEW
            )
        messages.add((caught.value.message, caught.value.facts["field"]))
        rows = await fetch(
            "select event_type from audit_event where request_id = $1", f"reset {what}"
        )
        assert [row["event_type"] for row in rows] == ["authentication_failed"], what
    assert messages == {
        ("token: is not valid, has been used or has expired", "token"),
    }
    await auth.login(nobody(ctx), user.username, OLD)


async def test_a_password_that_is_too_weak_leaves_the_code_good(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    code = await code_for(ctx, user)
    with pytest.raises(InvalidInput) as caught:
        await passwords.confirm_password_reset(nobody(ctx), code, "short")
    assert caught.value.facts["field"] == "password"
    await passwords.confirm_password_reset(nobody(ctx), code, NEW)


async def test_nobody_is_flooded_with_codes_and_the_last_one_stays_good(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    code = await code_for(ago(ctx, 30), user)
    for _ in range(3):
        await passwords.request_password_reset(nobody(ctx), user.email)
    assert await take_letters(ctx, user.email) == []
    await passwords.confirm_password_reset(nobody(ctx), code, NEW)


class Statements:
    """The SQL that was sent, without its values."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        for name in ("fetch", "execute", "executemany"):
            real = getattr(Connection, name)

            async def kept(
                connection: Any, sql: str, *values: Any, _real: Any = real, **k: Any
            ) -> Any:
                self.sent.append(sql)
                return await _real(connection, sql, *values, **k)

            monkeypatch.setattr(Connection, name, kept)


@pytest.mark.parametrize("address", ["nobody@example.com", "inactive", "a user name"])
async def test_for_an_unknown_address_all_is_the_same_but_no_mail(
    ctx: Context, address: str
) -> None:
    limits = CountingLimits()
    inactive = await make_user(ctx, OLD, is_active=False)
    other = await make_user(ctx, OLD, username="just-a-name-" + ctx.ids.secret_hex(6))
    wanted = {"inactive": inactive.email, "a user name": other.username}.get(address, address)
    await passwords.request_password_reset(replace(nobody(ctx), limits=limits), wanted)
    assert await take_letters(ctx, wanted) == []
    assert await take_letters(ctx, "nobody@example.com") == []
    assert not await fetch("select 1 from password_reset where tenant_id = $1", ctx.tenant_id)
    ((_, keys),) = limits.hits
    assert keys[1] == f"reset:{wanted}"


async def test_a_known_and_an_unknown_address_cost_the_same_statements(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await make_user(ctx, OLD)
    statements = Statements(monkeypatch)
    await passwords.request_password_reset(nobody(ctx), user.email)
    known = [sql for sql in statements.sent if not sql.lstrip().lower().startswith("select")]
    statements.sent.clear()
    await passwords.request_password_reset(nobody(ctx), "nobody@example.com")
    unknown = [sql for sql in statements.sent if not sql.lstrip().lower().startswith("select")]
    assert known == unknown
    assert len(known) >= 3


@pytest.mark.parametrize(
    "address", ["no address", "x" * 300 + "@example.com", "a\x00@example.com", "\ud800@x.y"]
)
async def test_an_address_that_is_none_gets_the_same_answer(ctx: Context, address: str) -> None:
    await passwords.request_password_reset(nobody(ctx), address)


async def test_secrets_do_not_stand_in_the_database_in_clear(ctx: Context) -> None:
    user = await make_user(ctx, OLD)
    await passwords.request_password_reset(nobody(ctx), user.email)
    (row,) = await fetch("select sealed from outgoing_mail where tenant_id = $1", ctx.tenant_id)
    (letter,) = await take_letters(ctx, user.email)
    assert code_in(letter).encode() not in row["sealed"]
    assert user.email.encode() not in row["sealed"]
    for table in ("password_reset", "audit_event"):
        rows = await fetch(
            f"select t::text as text from {table} t where tenant_id = $1", ctx.tenant_id
        )
        assert rows
        assert not any(code_in(letter) in row["text"] for row in rows)


async def test_a_change_does_not_win_over_one_that_came_between(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await make_user(ctx, OLD)
    _, me = await sign_in(ctx, user)
    code = await code_for(ctx, user)

    class Interrupted(Passwords):
        async def hash(self, password: str) -> str:
            if password == "the slow horse's name":
                await passwords.confirm_password_reset(nobody(ctx), code, NEW)
            return await super().hash(password)

    slow = Interrupted(time_cost=1, memory_kib=8, parallelism=1)
    with pytest.raises(Conflict):
        await passwords.change_password(replace(me, passwords=slow), OLD, "the slow horse's name")
    await auth.login(nobody(ctx), user.username, NEW)
