"""Sign-in: who a person is, by password and by access token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from core.access import PASSWORD_ONLY, Permission, allow
from core.audit import AuditEntry, AuditType, Severity
from core.callers import Caller
from core.context import Context
from core.errors import Forbidden, InvalidInput, Unauthenticated
from core.fence import ALL_TENANTS, fence
from core.rate_limits import RateScope, address_key
from models.audit import append_audit
from models.refresh_tokens import store_refresh_token
from models.sessions import Session
from models.unit_of_work import Work, database_errors, unit_of_work
from models.users import Standing, User, find_login, find_standings, note_login
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
    password and a deactivated account, so that nobody learns which accounts exist. Raises
    RateLimited before anything costly is done.
    """
    for field, text in (("username", username), ("password", password)):
        if not text:
            raise InvalidInput(field, "is required")
    account = f"account:{username.casefold()[:LOGIN_CHARS_MAX]}"
    await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address), account)
    if not _can_match(username, password):
        raise _refused()
    with fence(ALL_TENANTS):
        return await _login(ctx, username, password)


@allow(Permission.PUBLIC)
async def caller_from_token(ctx: Context, token: str) -> Caller:
    """Return the person an access token stands for, with the role of this moment.

    Raises Unauthenticated for a token that does not hold, whose session has ended or whose user
    is gone, Forbidden for a deactivated account. Who has to change their password can do only
    that.
    """
    found = ctx.tokens.verify(token)
    standing = await _standings.get(found.tenant_id, (found.user_id, found.session_id))
    if standing is None:
        raise Unauthenticated("The access token is not valid")
    if not standing.is_active:
        raise Forbidden("This account is deactivated")
    if standing.session_ended or standing.session_expires_at <= ctx.clock.now():
        raise Unauthenticated("The session has ended")
    return Caller(
        standing.role,
        found.tenant_id,
        user_id=found.user_id,
        session_id=found.session_id,
        scopes=PASSWORD_ONLY if standing.must_change_password else None,
        expires_at=found.expires_at,
    )


@allow(Permission.SELF)
async def who_am_i(ctx: Context) -> User:
    """Return the signed-in person."""
    with database_errors():
        return await User.find_row(ctx.tenant_id, id=ctx.caller.user_id)


async def _login(ctx: Context, username: str, password: str) -> SignedIn:
    with database_errors():
        user = await find_login(username)
    # PostgreSQL takes more spellings for one name than the limit of attempts does.
    if user and username.casefold() not in {user.username.casefold(), user.email.casefold()}:
        user = None
    if user is not None:  # name and address share one budget
        await ctx.limits.hit(RateScope.AUTH, f"login:{user.id}")
    matches = await ctx.passwords.verify(user.password_hash if user else None, password)
    if user is not None and matches and user.is_active:
        is_dated = ctx.passwords.needs_rehash(user.password_hash)
        new_hash = await ctx.passwords.hash(password) if is_dated else None
        async with unit_of_work(ctx) as work:
            now = ctx.clock.now()
            if await note_login(user, now, new_hash):
                user.last_login_at = now
                signed_in = await SignedIn.begin(ctx, work, user)
                entry = _entry(AuditType.USER_LOGIN, user)
                work.record(replace(entry, session_id=signed_in.session_id))
                return signed_in
    with database_errors():
        # An unknown name is not kept: people type passwords where names belong.
        await append_audit(ctx, [_entry(AuditType.LOGIN_FAILED, user, Severity.WARNING)])
    raise _refused()


def _can_match(username: str, password: str) -> bool:
    """Whether there can be such an account, and PostgreSQL can be asked for it."""
    try:
        username.encode()
        password.encode()
    except UnicodeEncodeError:
        return False
    is_short = len(username) <= LOGIN_CHARS_MAX and len(password) <= PASSWORD_CHARS_MAX
    return is_short and "\x00" not in username


def _entry(type_: AuditType, user: User | None, severity: Severity = Severity.INFO) -> AuditEntry:
    if user is None:
        return AuditEntry(type_, severity=severity, tenant_id=0)
    return AuditEntry(type_, f"user:{user.id}", severity, tenant_id=user.tenant_id, user_id=user.id)


async def _fetch_standings(
    tenant_id: int, people: Collection[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Standing]:
    with database_errors():
        return await find_standings(tenant_id, people)


_standings = Gathering(_fetch_standings)


def _refused() -> Unauthenticated:
    return Unauthenticated("Invalid username or password")
