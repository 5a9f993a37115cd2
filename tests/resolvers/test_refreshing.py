"""Refresh tokens rotate once, and one that comes back later ends its session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from core.audit import AuditType
from core.context import Context
from core.errors import InvalidInput, RateLimited, Unauthenticated
from core.events import AccessChanged
from core.rate_limits import RateScope, RateState
from models.connection import fetch
from models.sessions import Session
from models.users import User
from resolvers import auth, sessions
from tests.doubles import ManualClock
from tests.resolvers.edge import nobody, published
from tests.resolvers.signed_in import begin, is_open, token_of


async def recorded(type_: AuditType, session_id: UUID) -> int:
    (row,) = await fetch(
        "select count(*) from audit_event where event_type = $1 and subject = $2",
        type_.value,
        f"session:{session_id}",
    )
    return int(row["count"])


async def test_each_use_brings_the_next_token_and_an_access_token(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    first = await begin(ctx, timed)
    token = token_of(first)
    for _ in range(3):
        clock.advance(seconds=600)
        refreshed = await sessions.refresh(timed, token)
        caller = await auth.caller_from_token(timed, refreshed.access_token)
        assert (caller.user_id, caller.session_id) == (first.user.id, first.session_id)
        assert refreshed.refresh_token not in {None, token}
        token = token_of(refreshed)
    session = await Session.find_row(ctx.tenant_id, id=first.session_id)
    assert session.last_used_at == clock.now()
    assert await recorded(AuditType.TOKEN_REFRESHED, first.session_id) == 3


async def test_a_used_token_that_comes_back_ends_the_session(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    first = await begin(ctx, timed)
    second = await sessions.refresh(timed, token_of(first))
    clock.advance(seconds=timed.policy.refresh_retry_seconds)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(first))
    assert not await is_open(timed, first)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(second))
    assert await recorded(AuditType.TOKEN_REUSED, first.session_id) == 1
    assert [event.session_id for event in published(ctx, AccessChanged)] == [first.session_id]


async def test_who_missed_the_answer_gets_the_same_successor_again(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    first = await begin(ctx, timed)
    second = await sessions.refresh(timed, token_of(first))
    clock.advance(seconds=timed.policy.refresh_retry_seconds - 1)
    again = await sessions.refresh(timed, token_of(first))
    assert again.refresh_token == second.refresh_token
    third = await sessions.refresh(timed, token_of(second))
    assert await is_open(timed, first)
    with pytest.raises(Unauthenticated):  # its successor was used: nobody missed that answer
        await sessions.refresh(timed, token_of(first))
    assert not await is_open(timed, first)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(third))


async def test_fifty_at_once_get_one_successor(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    refreshed = await asyncio.gather(*(sessions.refresh(timed, token_of(first)) for _ in range(50)))
    assert len({each.refresh_token for each in refreshed} | {token_of(first)}) == 2
    (row,) = await fetch(
        "select count(*) from refresh_token where session_id = $1", first.session_id
    )
    assert row["count"] == 2
    assert await is_open(timed, first)


async def test_without_rotation_a_token_stays_good_for_the_life_of_the_session(
    ctx: Context, timed: Context, clock: ManualClock
) -> None:
    first = await begin(ctx, timed)
    for _ in range(3):
        clock.advance(seconds=86_400)
        refreshed = await sessions.refresh(timed, token_of(first), rotate=False)
        assert refreshed.refresh_token is None
        await auth.caller_from_token(timed, refreshed.access_token)


async def test_a_rotated_token_is_not_good_without_rotation_either(
    ctx: Context, timed: Context
) -> None:
    first = await begin(ctx, timed)
    await sessions.refresh(timed, token_of(first))
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(first), rotate=False)
    assert not await is_open(timed, first)


@pytest.mark.parametrize("rotate", [True, False])
async def test_a_session_ends_at_its_time_however_often_it_is_refreshed(
    ctx: Context, timed: Context, clock: ManualClock, *, rotate: bool
) -> None:
    timed = replace(timed, policy=replace(timed.policy, session_seconds=3_600))
    first = await begin(ctx, timed)
    ends = clock.now() + timedelta(seconds=3_600)
    token = token_of(first)
    for seconds in (1_800, 1_700):
        clock.advance(seconds=seconds)
        refreshed = await sessions.refresh(timed, token, rotate=rotate)
        token = refreshed.refresh_token or token
    assert refreshed.expires_at == ends
    clock.advance(seconds=100)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token, rotate=rotate)
    with pytest.raises(Unauthenticated):
        await auth.caller_from_token(timed, refreshed.access_token)


async def test_the_database_alone_gives_no_token(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    second = await sessions.refresh(timed, token_of(first))
    rows = await fetch("select * from refresh_token where session_id = $1", first.session_id)
    stored = b"".join(bytes(row["token_hash"]) + bytes(row["successor"] or b"") for row in rows)
    for token in (token_of(first), token_of(second)):
        assert token.encode() not in stored


@pytest.mark.parametrize("token", ["unknown", "x" * 100_000, "\x00", "ä", "\ud800"])
async def test_strange_tokens_are_refused_in_the_same_words(ctx: Context, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await sessions.refresh(nobody(ctx), token)
    assert caught.value.message == "The refresh token is not valid"


async def test_a_missing_token_is_named(ctx: Context) -> None:
    with pytest.raises(InvalidInput) as caught:
        await sessions.refresh(nobody(ctx), "")
    assert caught.value.facts["field"] == "refreshToken"


async def test_a_deactivated_person_gets_no_token(ctx: Context, timed: Context) -> None:
    first = await begin(ctx, timed)
    await User.of(ctx.tenant_id, id=first.user.id).update(is_active=False)
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, token_of(first))


class FullAfter:
    """Refuses the calls of one key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.keys: list[str] = []

    async def check(self, scope: RateScope, key: str) -> None:
        pass

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        assert scope is RateScope.AUTH
        self.keys += keys
        if self.key in keys:
            raise RateLimited("slow down", retry_after_seconds=1)
        return None


async def test_refreshes_are_counted_by_session_and_guesses_by_address(
    ctx: Context, timed: Context
) -> None:
    first, second = await begin(ctx, timed), await begin(ctx, timed)
    limits = FullAfter(f"family:{first.session_id}")
    timed = replace(timed, limits=limits, remote_address="192.0.2.7")
    with pytest.raises(RateLimited):
        await sessions.refresh(timed, token_of(first))
    await sessions.refresh(timed, token_of(second))
    with pytest.raises(Unauthenticated):
        await sessions.refresh(timed, "a guess")
    families = [f"family:{each.session_id}" for each in (first, second)]
    assert limits.keys == [*families, "address:192.0.2.7"]
