"""People of a tenant, as those see and change them who manage accounts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.accounts import NewUser, check_email, check_full_name, check_text
from core.audit import AuditEntry, AuditType, Severity
from core.callers import Role
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput
from core.events import ACCESS, AccessChanged
from core.letters import Letter, write_letter
from core.mail import Mail
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.ranks import check_is_of_people, check_reach
from core.rate_limits import RateScope
from models.api_keys import revoke_keys_of
from models.outgoing_mail import put_mail
from models.password_resets import void_password_resets
from models.sessions import end_sessions
from models.unit_of_work import Work, database_errors, unit_of_work
from models.users import (
    User,
    UserFilter,
    add_user,
    has_other_owner,
    lock_people,
    page_of_users,
    refuse_taken,
    taken_names,
)

TEXT_CHARS_MAX: Final = 200
_NO_FILTER: Final = UserFilter()


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is to become of an account; None leaves as is."""

    email: str | None = None
    role: Role | None = None
    full_name: str | None = None
    is_active: bool | None = None


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def list_users(
    ctx: Context,
    wanted: UserFilter = _NO_FILTER,
    first: int = PAGE_SIZE_MAX,
    after: str | None = None,
) -> Slice[User]:
    """Return the tenant's people by user name, `first` at a time."""
    check_text("text", wanted.text or "", TEXT_CHARS_MAX)
    with database_errors():
        return await page_of_users(ctx.tenant_id, wanted, page_size(first), after)


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def get_user(ctx: Context, user_id: UUID) -> User:
    """Return one person; raises NotFound."""
    with database_errors():
        return await User.find_row(ctx.tenant_id, id=user_id)


@allow(Permission.USER_READ)
async def list_people(
    ctx: Context, first: int = PAGE_SIZE_MAX, after: str | None = None
) -> Slice[User]:
    """Return whom one works with, by user name: for their names and roles alone."""
    with database_errors():
        return await page_of_users(ctx.tenant_id, _NO_FILTER, page_size(first), after)


@allow(Permission.USER_READ)
async def find_people(ctx: Context, ids: Collection[UUID]) -> list[User]:
    """Return those with one of the ids who are still there: for their names and roles alone."""
    with database_errors():
        return await User.with_any(ctx.tenant_id, "id", ids)


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def create_user(ctx: Context, new: NewUser) -> User:
    """Make an account, whose password has to be changed at the first login.

    Raises Forbidden for a role above the caller's own, Conflict for a name or address that is
    taken, in whatever tenant.
    """
    new = new.checked()
    check_reach(ctx.caller, new.role)
    with database_errors():
        await refuse_taken(username=new.username, email=new.email)
    password_hash = await ctx.passwords.hash(new.password)
    async with unit_of_work(ctx) as work:
        user = await add_user(ctx.tenant_id, ctx.ids.uuid(), new, password_hash, ctx.clock.now())
        work.record(
            AuditEntry(AuditType.USER_CREATED, subject=f"user:{user.id}", after=_told(user))
        )
    return user


@allow(Permission.USER_ADMIN, limit=RateScope.ADMIN)
async def update_user(ctx: Context, user_id: UUID, changes: UserChanges) -> User:
    """Change an account; less right, or none, bites at once.

    Raises Forbidden for a person or a role above the caller's own and for an API key's own person,
    Conflict for an address that is taken and for the last active owner, who stays one.
    """
    if ctx.caller.api_key_id is not None and user_id == ctx.caller.user_id:
        # By an address of its own choice the key would get the person's password.
        raise Forbidden("An API key cannot change the account of its own person")
    wanted = _checked(changes)
    if "email" in wanted:
        with database_errors():
            await refuse_taken(email=str(wanted["email"]), but=user_id)
    async with unit_of_work(ctx) as work:
        user = await _reached(ctx, user_id)
        if changes.role is not None:
            check_reach(ctx.caller, changes.role)
        before = {name: getattr(user, name) for name in wanted}
        changed = {name: value for name, value in wanted.items() if value != before[name]}
        if not changed:
            return user
        stays_owner = changed.get("role", Role.OWNER) is Role.OWNER
        if not (stays_owner and changed.get("is_active", True)):
            await _refuse_last_owner(user)
        user.update_from_dict(changed)
        with taken_names():
            await user.save(update_fields=list(changed))
        if "email" in changed:  # a code is for who reads the address that it went to
            await void_password_resets(user.tenant_id, user.id)
            await put_mail(ctx, user.tenant_id, _notice(ctx, user, str(before["email"])))
        if changed.keys() & {"role", "is_active"}:
            await _shut_out(ctx, work, user, "deactivated")
        work.record(
            AuditEntry(
                AuditType.USER_UPDATED,
                subject=f"user:{user.id}",
                before={name: before[name] for name in changed},
                after=changed,
            )
        )
    return user


@allow(Permission.USER_DELETE, limit=RateScope.ADMIN)
async def delete_user(ctx: Context, user_id: UUID) -> User:
    """Remove an account, its sessions and its API keys; returns what it was.

    Raises InvalidInput for the caller's own, Forbidden for one above it, Conflict for the last
    active owner.
    """
    if user_id == ctx.caller.user_id:
        raise InvalidInput("id", "is your own account, which somebody else has to delete")
    async with unit_of_work(ctx) as work:
        user = await _reached(ctx, user_id)
        await _refuse_last_owner(user)
        was, user.is_active = _told(user), False
        keys = await revoke_keys_of(ctx.tenant_id, user.id, ctx.clock.now())
        await _shut_out(ctx, work, user, "deleted")
        await user.delete()
        work.record(
            AuditEntry(
                AuditType.USER_DELETED,
                subject=f"user:{user.id}",
                severity=Severity.WARNING,
                before=was,
                details={"revoked_api_keys": keys},
            )
        )
    return user


def _notice(ctx: Context, user: User, old_email: str) -> Mail:
    """Return the letter to who reads the address of before: somebody may have taken the account."""
    return write_letter(
        ctx,
        Letter.EMAIL_CHANGED,
        old_email,
        name=user.full_name or user.username,
        username=user.username,
        at=f"{ctx.clock.now():%Y-%m-%d %H:%M} UTC",
    )


async def _reached(ctx: Context, user_id: UUID) -> User:
    """Return a person whom the caller may touch; nobody else changes people until the end."""
    await lock_people(ctx.tenant_id)
    user = await User.find_row(ctx.tenant_id, id=user_id)
    check_reach(ctx.caller, user.role)
    return user


async def _refuse_last_owner(user: User) -> None:
    is_owner = user.role is Role.OWNER and user.is_active
    if is_owner and not await has_other_owner(user.tenant_id, user.id):
        raise Conflict(
            "This is the last active owner; make somebody else an owner first", last_owner=True
        )


async def _shut_out(ctx: Context, work: Work, user: User, reason: str) -> None:
    """End what is open for a person, who may do less from now on; all sessions if nothing."""
    if not user.is_active:
        await end_sessions(work, ctx.tenant_id, user.id, ctx.clock.now(), reason=reason)
    work.emit(ACCESS, AccessChanged(ctx.tenant_id, user_id=user.id))


def _checked(changes: UserChanges) -> dict[str, object]:
    """Return the new values by column; raises InvalidInput, also when there are none."""
    found: dict[str, object] = {}
    if changes.email is not None:
        found["email"] = check_email(changes.email)
    if changes.role is not None:
        check_is_of_people(changes.role)
        found["role"] = changes.role
    if changes.full_name is not None:
        found["full_name"] = check_full_name(changes.full_name)
    if changes.is_active is not None:
        found["is_active"] = changes.is_active
    if not found:
        accepted = ["email", "role", "fullName", "isActive"]
        raise InvalidInput("changes", f"must name one of {', '.join(accepted)}", accepted=accepted)
    return found


def _told(user: User) -> dict[str, object]:
    """Return what the audit log tells of an account."""
    names = ("username", "email", "role", "full_name", "is_active")
    return {name: getattr(user, name) for name in names}
