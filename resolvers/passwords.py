"""Passwords: changing one's own, and choosing a new one when the old is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from core.access import Permission, allow
from core.accounts import EMAIL_CHARS_MAX
from core.audit import AuditEntry, AuditType, Severity
from core.context import Context
from core.errors import Conflict, InvalidInput, Unauthenticated
from core.fence import ALL_TENANTS, fence
from core.letters import Letter, write_letter
from core.password_rules import check_password
from core.rate_limits import RateScope, address_key
from models.audit import append_audit
from models.outgoing_mail import put_mail
from models.password_resets import (
    find_password_reset,
    put_password_reset,
    take_password_reset,
    void_password_resets,
)
from models.sessions import end_sessions
from models.unit_of_work import Work, database_errors, unit_of_work
from models.users import User, find_login, set_password

TOKEN_CHARS_MAX: Final = 200


@allow(Permission.SELF_PASSWORD)
async def change_password(ctx: Context, current: str, new: str) -> None:
    """Replace the caller's password and end their other sessions.

    Raises Unauthenticated for a wrong `current`, InvalidInput for a new password that is too
    weak or the old one.
    """
    for field, text in (("currentPassword", current), ("newPassword", new)):
        if not text:
            raise InvalidInput(field, "is required")
    with database_errors():
        user = await User.find_row(ctx.tenant_id, id=ctx.caller.user_id)
    # Not the key of logins: a stranger who fails at those must not keep the person from this.
    account = f"password:{user.id}"
    await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address), account)
    if not await ctx.passwords.verify(user.password_hash, current):
        with database_errors():
            await append_audit(
                ctx, [_entry(AuditType.PASSWORD_CHANGE_FAILED, user, Severity.WARNING)]
            )
        raise Unauthenticated("The current password is wrong")
    if new == current:
        raise InvalidInput("newPassword", "must not be the current one")
    check_password(new, "newPassword", username=user.username, email=user.email)
    password_hash = await ctx.passwords.hash(new)
    async with unit_of_work(ctx) as work:
        if not await set_password(user, password_hash, ctx.clock.now()):
            raise Conflict("The account has changed meanwhile")
        await _follow_up(ctx, work, user, AuditType.PASSWORD_CHANGED)


@allow(Permission.PUBLIC)
async def request_password_reset(ctx: Context, email: str) -> None:
    """Mail a code to the person of this address with which to choose a new password.

    For an unknown address nothing is sent, in the same words and about the same time, so that
    nobody learns which accounts exist; nor within a minute of the last mail, so that nobody is
    flooded. Raises RateLimited.
    """
    if not email:
        raise InvalidInput("email", "is required")
    account = f"reset:{email.casefold()[:EMAIL_CHARS_MAX]}"
    await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address), account)
    with fence(ALL_TENANTS):
        user = await _find_by_address(email)
        await _store_reset(ctx, user)


@allow(Permission.PUBLIC)
async def confirm_password_reset(ctx: Context, token: str, password: str) -> None:
    """Set the password of whom a reset's code was sent to, and end every session of theirs.

    Raises InvalidInput, for `token` in the same words for every reason. A password that is too
    weak leaves the code good.
    """
    for field, text in (("token", token), ("password", password)):
        if not text:
            raise InvalidInput(field, "is required")
    await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address))
    with fence(ALL_TENANTS):
        user = await _find_by_token(ctx, token)
        check_password(password, username=user.username, email=user.email)
        password_hash = await ctx.passwords.hash(password)
        async with unit_of_work(ctx) as work:
            now = ctx.clock.now()
            is_first = await take_password_reset(token, now)
            if not is_first or not await set_password(user, password_hash, now):
                raise _bad_token()
            await _follow_up(ctx, work, user, AuditType.PASSWORD_RESET_COMPLETED)


async def _follow_up(ctx: Context, work: Work, user: User, type_: AuditType) -> None:
    """End what the old password had opened, and tell the person; part of the unit of work."""
    now = ctx.clock.now()
    await void_password_resets(user.tenant_id, user.id)
    # A call with a reset's code comes without a session: none is spared.
    keep = ctx.caller.session_id if type_ is AuditType.PASSWORD_CHANGED else None
    ended = await end_sessions(work, user.tenant_id, user.id, now, reason=type_.value, keep=keep)
    letter = write_letter(
        ctx,
        Letter.PASSWORD_CHANGED,
        user.email,
        name=user.full_name or user.username,
        username=user.username,
        at=f"{now:%Y-%m-%d %H:%M} UTC",
        address=ctx.remote_address or "an unknown address",
    )
    await put_mail(ctx, user.tenant_id, letter)
    details = {"sessions": [str(session_id) for session_id in ended]}
    work.record(_entry(type_, user, details=details))


async def _find_by_address(email: str) -> User | None:
    """Return the active person of the address, if there can be one."""
    if len(email) > EMAIL_CHARS_MAX or "\x00" in email or not email.isprintable():
        return None
    with database_errors():
        user = await find_login(email)
    is_theirs = user is not None and user.email.casefold() == email.casefold()
    return user if user is not None and is_theirs and user.is_active else None


async def _store_reset(ctx: Context, user: User | None) -> None:
    """Keep and mail a code; for nobody do all the same, and keep nothing."""
    token, now = ctx.ids.secret(), ctx.clock.now()
    expires_at = now + timedelta(seconds=ctx.policy.reset_seconds)
    letter = write_letter(
        ctx,
        Letter.PASSWORD_RESET,
        user.email if user else "nobody@example.com",
        name=(user.full_name or user.username) if user else "nobody",
        username=user.username if user else "nobody",
        token=token,
        minutes=ctx.policy.reset_seconds // 60,
    )
    tenant_id = user.tenant_id if user else ALL_TENANTS
    async with unit_of_work(ctx) as work:
        user_id = user.id if user else None
        is_kept = await put_password_reset(tenant_id, user_id, token, now, expires_at)
        await put_mail(ctx, tenant_id, letter, really=is_kept)
        # An unknown address is not kept: it may be anything that somebody typed.
        work.record(_entry(AuditType.PASSWORD_RESET_REQUESTED, user))


async def _find_by_token(ctx: Context, token: str) -> User:
    if len(token) <= TOKEN_CHARS_MAX and token.isascii():
        with database_errors():
            reset = await find_password_reset(token, ctx.clock.now())
            people = User.of(reset.tenant_id, id=reset.user_id, is_active=True) if reset else None
            user = await people.first() if people else None
        if user is not None:
            return user
    with database_errors():
        entry = _entry(
            AuditType.AUTHENTICATION_FAILED, None, Severity.WARNING, {"by": "reset code"}
        )
        await append_audit(ctx, [entry])
    raise _bad_token()


def _entry(
    type_: AuditType,
    user: User | None,
    severity: Severity = Severity.INFO,
    details: Mapping[str, object] | None = None,
) -> AuditEntry:
    return AuditEntry(
        type_,
        f"user:{user.id}" if user else "",
        severity,
        details=details or {},
        tenant_id=user.tenant_id if user else ALL_TENANTS,
        user_id=user.id if user else None,
    )


def _bad_token() -> InvalidInput:
    return InvalidInput("token", "is not valid, has been used or has expired")
