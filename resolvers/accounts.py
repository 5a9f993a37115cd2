"""Accounts: registering, and inviting others to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.accounts import NewUser, check_email
from core.audit import AuditEntry, AuditType, Severity
from core.callers import Caller, Role
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.fence import ALL_TENANTS, fence
from core.letters import Letter, write_letter
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.policy import Registration
from core.ranks import check_is_of_people, check_reach
from core.rate_limits import RateScope, address_key
from models.audit import append_audit
from models.invitations import (
    Invitation,
    find_invitation,
    invitation_digest,
    page_of_invitations,
    revoke_invitations_to,
    take_invitation,
)
from models.outgoing_mail import put_mail
from models.tenants import first_tenant, get_tenant
from models.unit_of_work import database_errors, unit_of_work
from models.users import User, refuse_taken, taken_names
from resolvers.auth import SignedIn

TOKEN_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation at the only moment at which its token is known."""

    row: Invitation
    token: str


@allow(Permission.PUBLIC)
async def register(
    ctx: Context,
    username: str,
    email: str,
    password: str,
    full_name: str = "",
    invitation_token: str | None = None,
) -> SignedIn:
    """Make an account and sign its person in.

    With an invitation they join its tenant with its role; without, where everybody may register,
    the installation's first tenant as viewer. Raises Forbidden where that is not so, InvalidInput
    for what no account can have, Conflict for a name or an address that is taken, RateLimited.
    """
    await ctx.limits.hit(RateScope.AUTH, address_key(ctx.remote_address))
    _check_may_register(ctx, invited=bool(invitation_token))
    new = NewUser(username, email, password, Role.VIEWER, full_name).checked()
    with fence(ALL_TENANTS):
        invitation = await _find_open(ctx, invitation_token, new.email)
        with database_errors():
            await refuse_taken(username=new.username, email=new.email)
        password_hash = await ctx.passwords.hash(new.password)
        return await _register(ctx, new, password_hash, invitation)


@allow(Permission.USER_WRITE, limit=RateScope.ADMIN)
async def create_invitation(ctx: Context, email: str, role: Role) -> NewInvitation:
    """Mail somebody a code with which to register; earlier ones to the address are void.

    The code is returned as well, for who has no mail server. Raises Forbidden for a role above the
    caller's own, Conflict for the address of an account.
    """
    if ctx.policy.registration is Registration.CLOSED:
        raise Forbidden("Nobody may register here")
    check_is_of_people(role)
    check_reach(ctx.caller, role)
    email = check_email(email)
    with database_errors():
        await refuse_taken(email=email)
        inviter = await User.find_row(ctx.tenant_id, id=ctx.caller.user_id)
        tenant = await get_tenant(ctx.tenant_id)
    token, now = ctx.ids.secret(), ctx.clock.now()
    lasting = timedelta(seconds=ctx.policy.invitation_seconds)
    letter = write_letter(
        ctx,
        Letter.INVITATION,
        email,
        inviter=inviter.full_name or inviter.username,
        tenant=tenant.name,
        role=role.value,
        days=lasting.days,
        token=token,
    )
    async with unit_of_work(ctx) as work:
        await revoke_invitations_to(ctx.tenant_id, email, now)
        row = await Invitation.create(
            tenant_id=ctx.tenant_id,
            id=ctx.ids.uuid(),
            token_hash=invitation_digest(token),
            email=email,
            role=role,
            created_by=inviter.id,
            created_at=now,
            expires_at=now + lasting,
        )
        await put_mail(ctx, ctx.tenant_id, letter)
        after = {"email": email, "role": role.value}
        work.record(AuditEntry(AuditType.USER_INVITED, f"invitation:{row.id}", after=after))
    return NewInvitation(row, token)


@allow(Permission.USER_WRITE, limit=RateScope.ADMIN)
async def list_invitations(
    ctx: Context, first: int = PAGE_SIZE_MAX, after: str | None = None
) -> Slice[Invitation]:
    """Return the tenant's invitations, newest first, used and void ones too."""
    with database_errors():
        return await page_of_invitations(ctx.tenant_id, page_size(first), after)


@allow(Permission.USER_WRITE, limit=RateScope.ADMIN)
async def revoke_invitation(ctx: Context, invitation_id: UUID) -> Invitation:
    """Void an invitation that nobody has used; voiding it again changes nothing.

    Raises NotFound, Forbidden for a role above the caller's own, Conflict when it was used.
    """
    async with unit_of_work(ctx) as work:
        rows = Invitation.of(ctx.tenant_id, id=invitation_id).select_for_update()
        row = await rows.first()
        if row is None:
            raise NotFound(Invitation.noun, invitation_id)
        check_reach(ctx.caller, row.role)
        if row.used_at is not None:
            raise Conflict("The invitation was used")
        if row.revoked_at is None:
            row.revoked_at = ctx.clock.now()
            await row.save(update_fields=["revoked_at"])
            before = {"email": row.email, "role": row.role.value}
            work.record(
                AuditEntry(AuditType.INVITATION_REVOKED, f"invitation:{row.id}", before=before)
            )
    return row


def _check_may_register(ctx: Context, *, invited: bool) -> None:
    registration = ctx.policy.registration
    if registration is Registration.CLOSED:
        raise Forbidden("Nobody may register here")
    if registration is Registration.INVITATION and not invited:
        raise Forbidden("Only who was invited may register here")


async def _find_open(ctx: Context, token: str | None, email: str) -> Invitation | None:
    """Return the invitation of the token; None without one. Raises InvalidInput."""
    if not token:
        return None
    if len(token) <= TOKEN_CHARS_MAX and token.isascii():
        with database_errors():
            found = await find_invitation(token)
            if found is not None and found.is_open(ctx.clock.now()) and await _holds(found):
                if found.email.casefold() != email.casefold():
                    raise InvalidInput("email", "is not the address that was invited")
                return found
    with database_errors():
        await append_audit(
            ctx,
            [
                AuditEntry(
                    AuditType.AUTHENTICATION_FAILED,
                    severity=Severity.WARNING,
                    details={"by": "invitation"},
                    tenant_id=ALL_TENANTS,
                )
            ],
        )
    raise _bad_token()


async def _holds(invitation: Invitation) -> bool:
    """Whether who invited could still do so: who fell takes their invitations along."""
    inviter = await User.of(invitation.tenant_id, id=invitation.created_by).first()
    if inviter is None or not inviter.is_active:
        return False
    try:
        check_reach(Caller(inviter.role), invitation.role)
    except Forbidden:
        return False
    return True


async def _register(
    ctx: Context, new: NewUser, password_hash: str, invitation: Invitation | None
) -> SignedIn:
    async with unit_of_work(ctx) as work:
        now = ctx.clock.now()
        if invitation and not await take_invitation(invitation.tenant_id, invitation.id, now):
            raise _bad_token()
        tenant_id = invitation.tenant_id if invitation else await _first_tenant_id()
        with taken_names():
            user = await User.create(
                id=ctx.ids.uuid(),
                tenant_id=tenant_id,
                username=new.username,
                email=new.email,
                password_hash=password_hash,
                full_name=new.full_name,
                role=invitation.role if invitation else new.role,
                created_at=now,
                last_login_at=now,
            )
        signed_in = await SignedIn.begin(ctx, work, user)
        work.record(
            AuditEntry(
                AuditType.USER_REGISTERED,
                f"user:{user.id}",
                after={"username": user.username, "email": user.email, "role": user.role.value},
                details={"invitation": str(invitation.id)} if invitation else {},
                tenant_id=tenant_id,
                user_id=user.id,
                session_id=signed_in.session_id,
            )
        )
        return signed_in


async def _first_tenant_id() -> int:
    tenant = await first_tenant()
    if tenant is None:
        raise Forbidden("Nobody may register before the installation has a tenant")
    return tenant.id


def _bad_token() -> InvalidInput:
    return InvalidInput("invitationToken", "is not valid, has been used or has expired")
