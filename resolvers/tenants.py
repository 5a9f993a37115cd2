"""Tenants: so far the one that every installation starts with."""

from __future__ import annotations

from core.access import Permission, allow
from core.callers import Role
from core.context import Context
from core.errors import InvalidInput
from models.connection import fetch
from models.tenants import Tenant, find_tenant_named
from models.unit_of_work import database_errors, unit_of_work
from models.users import User, find_login

OWNER_USERNAME = "admin"
PASSWORD_CHARS_MIN = 8
_LOCK = 0x626F6F74  # "boot": two programs that start together make one tenant


@allow(Permission.SYSTEM)
async def bootstrap(
    ctx: Context, *, admin_email: str, admin_password: str, tenant_name: str = "default"
) -> Tenant:
    """Make the first tenant and its owner unless they exist; returns the tenant.

    Runs at every start. A tenant that has an owner is left alone: neither the password nor the
    address is ever reset. The owner's user name is `admin`, or the address where another tenant
    has an `admin`.
    """
    with database_errors():
        tenant = await find_tenant_named(tenant_name)
        if tenant is not None and await _has_owner(tenant):
            return tenant
    if "@" not in admin_email or len(admin_email) > 254:
        raise InvalidInput("admin_email", "is not an e-mail address")
    if len(admin_password) < PASSWORD_CHARS_MIN:
        raise InvalidInput(
            "admin_password",
            f"must have at least {PASSWORD_CHARS_MIN} characters",
            limit=PASSWORD_CHARS_MIN,
        )
    password_hash = await ctx.passwords.hash(admin_password)
    async with unit_of_work(ctx):
        await fetch("select pg_advisory_xact_lock($1)", _LOCK)
        tenant = await find_tenant_named(tenant_name)
        now = ctx.clock.now()
        if tenant is None:
            tenant = await Tenant.create(uuid=ctx.ids.uuid(), name=tenant_name, created_at=now)
        if not await _has_owner(tenant):
            taken = await find_login(OWNER_USERNAME)
            await User.create(
                id=ctx.ids.uuid(),
                tenant_id=tenant.id,
                username=OWNER_USERNAME if taken is None else admin_email,
                email=admin_email,
                password_hash=password_hash,
                role=Role.OWNER,
                created_at=now,
            )
    return tenant


async def _has_owner(tenant: Tenant) -> bool:
    return await User.of(tenant.id, role=Role.OWNER).exists()
