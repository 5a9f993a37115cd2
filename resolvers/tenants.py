"""Tenants: the one that every installation starts with, and those that its owner adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.access import Permission, allow
from core.accounts import NewUser, check_text
from core.audit import AuditEntry, AuditType
from core.callers import Role
from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput
from core.fence import ALL_TENANTS, fence
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from core.password_rules import check_password
from core.ranks import check_reach
from core.rate_limits import RateScope
from models.connection import fetch
from models.tenants import (
    Tenant,
    find_tenant_named,
    first_tenant,
    get_tenant,
    lock_tenants,
    page_of_tenants,
)
from models.unit_of_work import database_errors, unit_of_work
from models.users import User, add_user, find_login, refuse_taken

FIRST_TENANT = "default"
OWNER_USERNAME = "admin"
NAME_CHARS_MAX: Final = 200
_LOCK = 0x626F6F74  # "boot": two programs that start together make one tenant


@allow(Permission.SYSTEM)
async def bootstrap(
    ctx: Context, *, admin_email: str, admin_password: str, tenant_name: str | None = None
) -> Tenant:
    """Make the first tenant and its owner unless they exist; returns the tenant.

    Runs at every start. The first tenant is the oldest, whatever it is called by now, or else the
    one of the name. A tenant that has an owner is left alone: neither the password nor the
    address is ever reset. The owner's user name is `admin`, or the address where another tenant
    has an `admin`.
    """
    with database_errors():
        tenant = await _first(tenant_name)
        if tenant is not None and await _has_owner(tenant):
            return tenant
    if "@" not in admin_email or len(admin_email) > 254:
        raise InvalidInput("admin_email", "is not an e-mail address")
    check_password(admin_password, "admin_password", username=OWNER_USERNAME, email=admin_email)
    password_hash = await ctx.passwords.hash(admin_password)
    async with unit_of_work(ctx) as work:
        await fetch("select pg_advisory_xact_lock($1)", _LOCK)
        tenant = await _first(tenant_name)
        now = ctx.clock.now()
        if tenant is None:
            tenant = await Tenant.create(
                uuid=ctx.ids.uuid(), name=tenant_name or FIRST_TENANT, created_at=now
            )
            work.record(
                AuditEntry(
                    AuditType.TENANT_CREATED,
                    f"tenant:{tenant.uuid}",
                    after={"name": tenant.name},
                    tenant_id=tenant.id,
                )
            )
        if not await _has_owner(tenant):
            taken = await find_login(OWNER_USERNAME)
            owner = await User.create(
                id=ctx.ids.uuid(),
                tenant_id=tenant.id,
                username=OWNER_USERNAME if taken is None else admin_email,
                email=admin_email,
                password_hash=password_hash,
                role=Role.OWNER,
                created_at=now,
            )
            work.record(_owner_made(owner))
    return tenant


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant that was just made, and who may sign in to it.

    `password` is the owner's, if it was made up; this is the only moment at which it is known.
    """

    row: Tenant
    owner: User
    password: str | None


@allow(Permission.TENANT_MANAGE, Permission.SYSTEM, limit=RateScope.ADMIN)
async def create_tenant(
    ctx: Context,
    name: str,
    *,
    owner_email: str,
    owner_username: str | None = None,
    owner_password: str | None = None,
) -> NewTenant:
    """Make a tenant and its owner, who has to change the password at the first login.

    The owner's user name is the address unless given, the password made up unless given. Raises
    Forbidden for all but the owners of the installation's first tenant, Conflict for a name that
    another tenant has and for a login that somebody has.
    """
    await _check_installation(ctx)
    if ctx.caller.is_person:
        check_reach(ctx.caller, Role.OWNER)
    name = _check_name(name)
    owner = NewUser(
        username=owner_email if owner_username is None else owner_username,
        email=owner_email,
        password=owner_password or ctx.ids.secret(15),
        role=Role.OWNER,
    ).checked("owner")
    with database_errors():
        await refuse_taken(username=owner.username, email=owner.email)
    password_hash = await ctx.passwords.hash(owner.password)
    now = ctx.clock.now()
    with fence(ALL_TENANTS):
        async with unit_of_work(ctx) as work:
            await lock_tenants()
            await _refuse_named(name)
            tenant = await Tenant.create(uuid=ctx.ids.uuid(), name=name, created_at=now)
            user = await add_user(tenant.id, ctx.ids.uuid(), owner, password_hash, now)
            work.record(
                AuditEntry(
                    AuditType.TENANT_CREATED,
                    subject=f"tenant:{tenant.uuid}",
                    after={"name": name, "owner": user.username, "owner_email": user.email},
                    tenant_id=ctx.tenant_id or tenant.id,
                )
            )
            work.record(_owner_made(user))
    return NewTenant(tenant, user, None if owner_password else owner.password)


@allow(Permission.TENANT_MANAGE, Permission.SYSTEM, limit=RateScope.ADMIN)
async def list_tenants(
    ctx: Context, first: int = PAGE_SIZE_MAX, after: str | None = None
) -> Slice[Tenant]:
    """Return all tenants by name, `first` at a time; for whom `create_tenant` is."""
    await _check_installation(ctx)
    with database_errors():
        return await page_of_tenants(page_size(first), after)


@allow(Permission.SELF)
async def get_own_tenant(ctx: Context) -> Tenant:
    """Return the caller's tenant."""
    with database_errors():
        return await get_tenant(ctx.tenant_id)


@allow(Permission.TENANT_MANAGE, limit=RateScope.ADMIN)
async def rename_tenant(ctx: Context, name: str) -> Tenant:
    """Give the caller's tenant another name; raises Conflict for one that another tenant has."""
    name = _check_name(name)
    async with unit_of_work(ctx) as work:
        await lock_tenants()
        tenant = await get_tenant(ctx.tenant_id)
        if tenant.name != name:
            await _refuse_named(name)
            before, tenant.name = tenant.name, name
            await tenant.save(update_fields=["name"])
            work.record(
                AuditEntry(
                    AuditType.TENANT_UPDATED,
                    subject=f"tenant:{tenant.uuid}",
                    before={"name": before},
                    after={"name": name},
                )
            )
    return tenant


def _owner_made(owner: User) -> AuditEntry:
    """Return what the tenant's own log begins with."""
    return AuditEntry(
        AuditType.USER_CREATED,
        f"user:{owner.id}",
        after={"username": owner.username, "email": owner.email, "role": owner.role},
        tenant_id=owner.tenant_id,
    )


async def _check_installation(ctx: Context) -> None:
    """Raise unless the caller runs the installation: the system, or the first tenant's owner."""
    with database_errors():
        first = await first_tenant()
    if first is None:
        raise Conflict("The installation has no first tenant yet; start it once")
    if ctx.caller.role is not Role.SYSTEM and ctx.tenant_id != first.id:
        raise Forbidden("Only an owner of the installation's first tenant may do this")


async def _refuse_named(name: str) -> None:
    if await find_tenant_named(name) is not None:
        raise Conflict("Another tenant has this name", field="name")


def _check_name(text: str) -> str:
    name = check_text("name", text, NAME_CHARS_MAX)
    if not name:
        raise InvalidInput("name", "is required")
    return name


async def _first(name: str | None) -> Tenant | None:
    return await first_tenant() if name is None else await find_tenant_named(name)


async def _has_owner(tenant: Tenant) -> bool:
    return await User.of(tenant.id, role=Role.OWNER).exists()
