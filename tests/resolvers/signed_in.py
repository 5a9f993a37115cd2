"""People who have just signed in, for tests."""

from __future__ import annotations

from typing import Any

from core.context import Context
from core.errors import Unauthenticated
from models.unit_of_work import unit_of_work
from models.users import User
from resolvers import auth, sessions
from resolvers.auth import SignedIn
from tests.factories import make_user
from tests.resolvers.edge import nobody


async def begin(ctx: Context, me: Context, **changes: Any) -> SignedIn:
    user = await make_user(ctx, **changes)
    return await begin_again(me, user)


async def begin_again(me: Context, user: User) -> SignedIn:
    async with unit_of_work(me) as work:
        return await SignedIn.begin(me, work, user)


async def as_(me: Context, signed_in: SignedIn) -> Context:
    return me.acting_as(await auth.caller_from_token(nobody(me), signed_in.access_token))


def token_of(result: SignedIn | sessions.Refreshed) -> str:
    assert result.refresh_token is not None
    return result.refresh_token


async def is_open(me: Context, signed_in: SignedIn) -> bool:
    try:
        await auth.caller_from_token(nobody(me), signed_in.access_token)
    except Unauthenticated:
        return False
    return True
