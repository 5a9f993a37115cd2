"""Sessions end at once, by their person or by who may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.callers import Role
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from models.connection import fetch
from models.users import User
from resolvers import auth, sessions
from tests.doubles import ManualClock
from tests.resolvers.edge import nobody, system
from tests.resolvers.signed_in import as_, begin, begin_again, is_open, token_of

PASSWORD = "correct horse battery"


async def test_logging_out_ends_this_session_and_no_other(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    second = await begin_again(timed, first.user)
    await sessions.logout(await as_(timed, first))
    assert (await is_open(timed, first), await is_open(timed, second)) == (False, True)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(first))


async def test_logging_out_with_a_token_ends_that_session_if_it_is_ones_own(
    ctx: Context, timed: Context
) -> None:
    first, stranger = await begin(ctx, timed), await begin(ctx, timed)
    second = await begin_again(timed, first.user)
    me = await as_(timed, first)
    await sessions.logout(me, refresh_token=token_of(stranger))
    await sessions.logout(me, refresh_token="unknown")
    assert await is_open(timed, stranger)
    assert await is_open(timed, second)
    await sessions.logout(me, refresh_token=token_of(second))
    assert not await is_open(timed, second)


async def test_logging_out_everywhere_ends_all(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    second = await begin_again(timed, first.user)
    await sessions.logout(await as_(timed, second), everywhere=True)
    assert not await is_open(timed, first)
    assert not await is_open(timed, second)


async def test_who_must_change_their_password_can_do_only_that(
    ctx: Context, timed: Context
) -> None:
    signed_in = await begin(ctx, timed, must_change_password=True, role="owner")
    assert signed_in.refresh_token is None
    me = await as_(timed, signed_in)
    assert (await auth.who_am_i(me)).id == signed_in.user.id
    with pytest.raises(Forbidden):
        await sessions.list_my_sessions(me)
    with pytest.raises(Forbidden):
        await sessions.list_sessions_of_user(me, signed_in.user.id)
    await User.of(ctx.tenant_id, id=signed_in.user.id).update(must_change_password=False)
    assert (await sessions.list_my_sessions(await as_(timed, signed_in))).total == 1
    await sessions.logout(me)
    assert not await is_open(timed, signed_in)


async def test_lists_open_sessions_newest_first_page_by_page(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    timed = replace(timed, remote_address="192.0.2.7", user_agent="a browser")
    first = await begin(ctx, timed)
    made = [first.session_id]
    for _ in range(3):
        clock.advance(seconds=1)
        made.append((await begin_again(timed, first.user)).session_id)
    me = await as_(timed, first)
    await sessions.revoke_session(me, made.pop(1))
    page = await sessions.list_my_sessions(me, 2)
    assert [row.id for row in page.items] == made[:0:-1]
    assert (page.total, page.has_next) == (3, True)
    assert (page.items[0].remote_address, page.items[0].user_agent) == ("192.0.2.7", "a browser")
    rest = await sessions.list_my_sessions(me, 2, page.cursors[-1])
    assert [row.id for row in rest.items] == [first.session_id]
    with pytest.raises(InvalidInput):
        await sessions.list_my_sessions(me, 2, "eA")


async def test_ends_ones_own_other_sessions(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    others = [await begin_again(timed, first.user) for _ in range(2)]
    assert await sessions.revoke_other_sessions(await as_(timed, first)) == 2
    assert await is_open(timed, first)
    assert not [each for each in others if await is_open(timed, each)]
    assert await sessions.revoke_other_sessions(await as_(timed, first)) == 0


@pytest.mark.parametrize(
    ("mine", "theirs", "refusal"),
    [
        (Role.ADMIN, Role.ADMIN, None),
        (Role.ADMIN, Role.VIEWER, None),
        (Role.ADMIN, Role.OWNER, Forbidden),
        (Role.MANAGER, Role.VIEWER, NotFound),
    ],
)
async def test_administrators_end_sessions_of_nobody_above_them(
    ctx: Context, timed: Context, mine: Role, theirs: Role, refusal: type[Exception] | None
) -> None:
    me = await as_(timed, await begin(ctx, timed, role=mine))
    other = await begin(ctx, timed, role=theirs)
    if refusal is None:
        assert (await sessions.list_sessions_of_user(me, other.user.id)).total == 1
        await sessions.revoke_session(me, other.session_id)
    else:
        with pytest.raises(refusal):
            await sessions.revoke_session(me, other.session_id)
    assert await is_open(timed, other) is (refusal is not None)


async def test_a_person_in_danger_is_signed_out_everywhere(ctx: Context, timed: Context) -> None:
    admin = await as_(timed, await begin(ctx, timed, role=Role.ADMIN))
    first = await begin(ctx, timed, role=Role.OPERATOR)
    second = await begin_again(timed, first.user)
    neighbour = await begin(ctx, timed, role=Role.OPERATOR)
    assert await sessions.sign_out_user(admin, first.user.id) == 2
    assert [await is_open(timed, each) for each in (first, second, neighbour)] == [0, 0, 1]
    await auth.login(nobody(timed), first.user.username, PASSWORD)
    done = await sessions.sign_out_user(admin, first.user.id, void_password=True)
    assert done == 1
    with pytest.raises(Unauthenticated):
        await auth.login(nobody(timed), first.user.username, PASSWORD)
    owner = await begin(ctx, timed, role=Role.OWNER)
    with pytest.raises(Forbidden):
        await sessions.sign_out_user(admin, owner.user.id)
    with pytest.raises(NotFound):
        await sessions.sign_out_user(admin, ctx.ids.uuid())


async def test_a_session_that_is_over_or_unknown_is_not_found(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    second = await begin_again(timed, first.user)
    me = await as_(timed, first)
    await sessions.revoke_session(me, second.session_id)
    for id_ in (second.session_id, ctx.ids.uuid()):
        with pytest.raises(NotFound):
            await sessions.revoke_session(me, id_)
    with pytest.raises(NotFound):
        await sessions.list_sessions_of_user(ctx, ctx.ids.uuid())


async def test_sessions_go_a_day_after_their_time_with_their_tokens(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    timed = replace(timed, policy=replace(timed.policy, session_seconds=60))
    first = await begin(ctx, timed)
    past = replace(system(ctx), clock=ManualClock(clock.now() - timedelta(days=30)))
    old = await begin(ctx, replace(timed, clock=past.clock))
    assert await sessions.purge_ended_sessions(system(timed)) >= 1
    left = await fetch(
        "select session_id from refresh_token where session_id = any($1)",
        [first.session_id, old.session_id],
    )
    assert [row["session_id"] for row in left] == [first.session_id]
