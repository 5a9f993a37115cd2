"""Sign-in: who a person is, by password and by access token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.access import Permission, allow
from core.callers import Caller
from core.context import Context
from core.errors import Forbidden, InvalidInput, Unauthenticated
from models.refresh_tokens import store_refresh_token
from models.sessions import Session
from models.unit_of_work import Work, database_errors, unit_of_work
from models.users import Standing, User, find_login, find_standings
from resolvers.gathering import Gathering

LOGIN_CHARS_MAX = 254
PASSWORD_CHARS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has just shown who they are: a new session, and the tokens to use it with.

    `refresh_token` is None for who must change their password first.
    """

    access_token: str
    expires_at: datetime
    refresh_token: str | None
    session_id: UUID
    user: User

    @classmethod
    async def begin(cls, ctx: Context, work: Work, user: User) -> SignedIn:
        """Open a session for `user`, from where the call came; part of the unit of work."""
        now = ctx.clock.now()
        session = await Session.create(
            tenant_id=user.tenant_id,
            id=ctx.ids.uuid(),
            user_id=user.id,
            created_at=now,
            last_used_at=now,
            expires_at=now + timedelta(seconds=ctx.policy.session_seconds),
            remote_address=ctx.remote_address[:64],
            user_agent=ctx.user_agent[:300],
        )
        refresh_token = None
        if not user.must_change_password:
            refresh_token = ctx.ids.secret()
            await store_refresh_token(user.tenant_id, session.id, refresh_token, now)
        access_token, expires_at = ctx.tokens.issue(
            user.id, user.tenant_id, session.id, not_after=session.expires_at
        )
        return cls(access_token, expires_at, refresh_token, session.id, user)


@allow(Permission.PUBLIC)
async def login(ctx: Context, username: str, password: str) -> SignedIn:
    """Sign a person in by user name or e-mail address.

    Raises Unauthenticated with the same words after the same time for an unknown name, a wrong
    password and a deactivated account, so that nobody learns which accounts exist.
    """
    for field, text in (("username", username), ("password", password)):
        if not text:
            raise InvalidInput(field, "is required")
    if len(username) > LOGIN_CHARS_MAX or len(password) > PASSWORD_CHARS_MAX or "\x00" in username:
        raise _refused()
    with database_errors():
        user = await find_login(username)
    matches = await ctx.passwords.verify(user.password_hash if user else None, password)
    if user is None or not matches or not user.is_active:
        raise _refused()
    if ctx.passwords.needs_rehash(user.password_hash):
        user.password_hash = await ctx.passwords.hash(password)
    user.last_login_at = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        await user.save(update_fields=["password_hash", "last_login_at"])
        return await SignedIn.begin(ctx, work, user)


@allow(Permission.PUBLIC)
async def caller_from_token(ctx: Context, token: str) -> Caller:
    """Return the person an access token stands for, with the role of this moment.

    Raises Unauthenticated for a token that does not hold or whose user is gone, Forbidden for a
    deactivated account.
    """
    found = ctx.tokens.verify(token)
    standing = await _standings.get(found.tenant_id, found.user_id)
    if standing is None:
        raise Unauthenticated("The access token is not valid")
    if not standing.is_active:
        raise Forbidden("This account is deactivated")
    return Caller(
        standing.role, found.tenant_id, user_id=found.user_id, expires_at=found.expires_at
    )


@allow(Permission.SELF)
async def who_am_i(ctx: Context) -> User:
    """Return the signed-in person."""
    with database_errors():
        return await User.find_row(ctx.tenant_id, id=ctx.caller.user_id)


async def _fetch_standings(tenant_id: int, ids: Collection[UUID]) -> dict[UUID, Standing]:
    with database_errors():
        return await find_standings(tenant_id, ids)


_standings = Gathering(_fetch_standings)


def _refused() -> Unauthenticated:
    return Unauthenticated("Invalid username or password")
