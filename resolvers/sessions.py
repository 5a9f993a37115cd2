"""Sessions: the next access token, logging out, and who is signed in where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from core.access import Permission, allow, holds
from core.audit import AuditEntry, AuditType, Severity
from core.context import Context
from core.errors import InvalidInput, NotFound, Unauthenticated
from core.events import ACCESS, AccessChanged
from core.fence import ALL_TENANTS, fence
from core.paging import Slice, page_size
from core.ranks import check_reach
from core.rate_limits import RateScope, address_key
from models.api_keys import revoke_keys_of
from models.audit import append_audit
from models.refresh_tokens import (
    Presented,
    find_refresh_token,
    rotate_refresh_token,
    unused_successor,
)
from models.sessions import (
    Session,
    end_sessions,
    note_session_use,
    page_of_sessions,
    purge_sessions,
)
from models.unit_of_work import Work, database_errors, unit_of_work
from models.users import User

REFRESH_TOKEN_CHARS_MAX = 200
PURGE_ROWS = 1_000
KEPT_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The next access token of a session, and the refresh token to come with next time.

    `refresh_token` is None when the one that was shown stays good.
    """

    access_token: str
    expires_at: datetime
    refresh_token: str | None
    session_id: UUID


@allow(Permission.PUBLIC)
async def refresh(ctx: Context, refresh_token: str, *, rotate: bool = True) -> Refreshed:
    """Return the session's next access token.

    With `rotate` the refresh token is replaced. A replaced token that comes back ends the session:
    somebody has a copy. Only who repeats a rotation within `policy.refresh_retry_seconds`, because
    the first answer was lost, gets the same successor again, until that has been used.

    Raises Unauthenticated, in the same words for every reason, and RateLimited.
    """
    if not refresh_token:
        raise InvalidInput("refreshToken", "is required")
    with fence(ALL_TENANTS):
        known = await _find(refresh_token)
        if known is None:
            await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address))
            with database_errors():
                entry = AuditEntry(AuditType.TOKEN_REFRESH_FAILED, tenant_id=ALL_TENANTS)
                await append_audit(ctx, [entry])
            raise _refused()
        # Not by address: a plant behind one address must not lock itself out.
        await ctx.limits.hit(RateScope.AUTH, f"family:{known.session_id}")
        async with unit_of_work(ctx) as work:
            refreshed = await _refresh(ctx, work, refresh_token, rotate=rotate)
    if refreshed is None:
        raise _refused()
    return refreshed


@allow(Permission.SELF_PASSWORD)
async def logout(
    ctx: Context, *, refresh_token: str | None = None, everywhere: bool = False
) -> None:
    """End the session that the call came with, and what is open for it on every replica.

    A `refresh_token` of another session of the caller's ends that one as well; a stranger's, or an
    unknown one, does nothing. `everywhere` ends all of the caller's sessions.
    """
    assert ctx.caller.user_id is not None
    also = await _find(refresh_token) if refresh_token else None
    now = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        wanted = {ctx.caller.session_id}
        if also is not None and also.user_id == ctx.caller.user_id:
            wanted.add(also.session_id)
        ended = []
        for only in [None] if everywhere else sorted(wanted - {None}, key=str):
            ended += await end_sessions(
                work, ctx.tenant_id, ctx.caller.user_id, now, reason="logout", only=only
            )
        work.record(
            AuditEntry(
                AuditType.USER_LOGOUT,
                f"user:{ctx.caller.user_id}",
                details={"sessions": [str(each) for each in ended]},
            )
        )


@allow(Permission.SELF_MANAGE)
async def list_my_sessions(
    ctx: Context, first: int = 50, after: str | None = None
) -> Slice[Session]:
    """Return one page of the caller's open sessions, newest first."""
    assert ctx.caller.user_id is not None
    with database_errors():
        return await page_of_sessions(
            ctx.tenant_id, ctx.caller.user_id, ctx.clock.now(), page_size(first), after
        )


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def list_sessions_of_user(
    ctx: Context, user_id: UUID, first: int = 50, after: str | None = None
) -> Slice[Session]:
    """Return one page of a person's open sessions, newest first. Raises NotFound."""
    with database_errors():
        await User.find_row(ctx.tenant_id, id=user_id)
        return await page_of_sessions(
            ctx.tenant_id, user_id, ctx.clock.now(), page_size(first), after
        )


@allow(Permission.SELF_MANAGE, Permission.USER_ADMIN)
async def revoke_session(ctx: Context, session_id: UUID) -> None:
    """End an open session: one's own, or, by USER_ADMIN, anybody's who does not stand above.

    Raises NotFound for a session that is not open or not the caller's to see, Forbidden for a
    session of somebody above.
    """
    now = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        session = await Session.find_row(ctx.tenant_id, id=session_id)
        if session.user_id != ctx.caller.user_id or not holds(ctx.caller, Permission.SELF_MANAGE):
            if not holds(ctx.caller, Permission.USER_ADMIN):
                raise NotFound(Session.noun, session_id)
            owner = await User.find_row(ctx.tenant_id, id=session.user_id)
            check_reach(ctx.caller, owner.role)
        if not await end_sessions(
            work, ctx.tenant_id, session.user_id, now, reason="revoked", only=session_id
        ):
            raise NotFound(Session.noun, session_id)
        work.record(_revoked(session.user_id, [session_id]))


@allow(Permission.SELF_MANAGE)
async def revoke_other_sessions(ctx: Context) -> int:
    """End all of the caller's sessions but the one of this call; returns how many there were."""
    assert ctx.caller.user_id is not None
    async with unit_of_work(ctx) as work:
        ended = await end_sessions(
            work,
            ctx.tenant_id,
            ctx.caller.user_id,
            ctx.clock.now(),
            reason="revoked",
            keep=ctx.caller.session_id,
        )
        if ended:
            work.record(_revoked(ctx.caller.user_id, ended))
    return len(ended)


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def sign_out_user(
    ctx: Context, user_id: UUID, *, revoke_api_keys: bool = False, void_password: bool = False
) -> int:
    """End all sessions of a person whose credentials may be in wrong hands; returns how many.

    With `revoke_api_keys` the person's keys end as well. With `void_password` the password holds no
    longer: a new one is chosen with a code by mail. Raises NotFound, Forbidden for somebody above.
    """
    new_hash = await ctx.passwords.hash(ctx.ids.secret()) if void_password else None
    now = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        user = await User.find_row(ctx.tenant_id, id=user_id)
        check_reach(ctx.caller, user.role)
        if new_hash is not None:
            user.password_hash, user.password_changed_at = new_hash, now
            await user.save(update_fields=["password_hash", "password_changed_at"])
        ended = await end_sessions(work, ctx.tenant_id, user_id, now, reason="revoked")
        keys = await revoke_keys_of(ctx.tenant_id, user_id, now) if revoke_api_keys else []
        work.emit(ACCESS, AccessChanged(ctx.tenant_id, user_id=user_id))
        entry = _revoked(user_id, ended)
        more = {"revoked_api_keys": keys, "password_voided": void_password}
        work.record(replace(entry, severity=Severity.WARNING, details={**entry.details, **more}))
    return len(ended)


@allow(Permission.SYSTEM)
async def purge_ended_sessions(ctx: Context) -> int:
    """Delete sessions whose time was up a day ago, with their refresh tokens; returns how many."""
    deleted = 0
    while True:
        with database_errors():
            count = await purge_sessions(ctx.clock.now() - KEPT_AFTER, PURGE_ROWS)
        deleted += count
        if count < PURGE_ROWS:
            return deleted


async def _find(refresh_token: str) -> Presented | None:
    if len(refresh_token) > REFRESH_TOKEN_CHARS_MAX or not refresh_token.isascii():
        return None
    with database_errors():
        return await find_refresh_token(refresh_token)


async def _refresh(
    ctx: Context, work: Work, refresh_token: str, *, rotate: bool
) -> Refreshed | None:
    """Return the next tokens; None when there are none, and the unit of work says why."""
    now = ctx.clock.now()
    shown = await find_refresh_token(refresh_token, locked=True)
    if shown is None:
        return None
    if not shown.is_open or shown.session_expires_at <= now:
        work.record(_refresh_entry(AuditType.TOKEN_REFRESH_FAILED, shown, Severity.WARNING))
        return None
    successor = None
    if shown.used_at is not None:
        successor = await unused_successor(shown) if rotate and _is_retry(ctx, shown, now) else None
        if successor is None:
            await end_sessions(
                work, shown.tenant_id, shown.user_id, now, reason="reused", only=shown.session_id
            )
            work.record(_refresh_entry(AuditType.TOKEN_REUSED, shown, Severity.CRITICAL))
            return None
    elif rotate:
        successor = ctx.ids.secret()
        await rotate_refresh_token(shown, successor, now)
    await note_session_use(shown.tenant_id, shown.session_id, now)
    work.record(_refresh_entry(AuditType.TOKEN_REFRESHED, shown))
    access_token, expires_at = ctx.tokens.issue(
        shown.user_id, shown.tenant_id, shown.session_id, not_after=shown.session_expires_at
    )
    return Refreshed(access_token, expires_at, successor, shown.session_id)


def _is_retry(ctx: Context, shown: Presented, now: datetime) -> bool:
    assert shown.used_at is not None
    return now < shown.used_at + timedelta(seconds=ctx.policy.refresh_retry_seconds)


def _refresh_entry(
    type_: AuditType, shown: Presented, severity: Severity = Severity.INFO
) -> AuditEntry:
    return AuditEntry(
        type_,
        f"session:{shown.session_id}",
        severity,
        tenant_id=shown.tenant_id,
        user_id=shown.user_id,
        session_id=shown.session_id,
    )


def _revoked(user_id: UUID, sessions: list[UUID]) -> AuditEntry:
    details = {"sessions": [str(each) for each in sessions]}
    return AuditEntry(AuditType.SESSION_REVOKED, f"user:{user_id}", details=details)


def _refused() -> Unauthenticated:
    return Unauthenticated("The refresh token is not valid")
