"""The first owner's login: made with a new database, shown until the password is changed."""

from __future__ import annotations

from core.context import Context
from core.derived_secrets import DerivedSecrets
from fleetgraph.settings import Settings
from models.tenants import Tenant
from models.users import User
from resolvers.tenants import bootstrap

USERNAME = "admin"


def first_password(settings: Settings, secrets: DerivedSecrets) -> str:
    """Return the owner's first password: as set, or made from the master secret."""
    if settings.admin.password is not None:
        return settings.admin.password.get_secret_value()
    return secrets.derive("first-owner")[:20]


async def make_owner(system: Context, settings: Settings) -> Tenant:
    """Create the default tenant and its owner unless they exist."""
    return await bootstrap(
        system,
        admin_email=settings.admin.email,
        admin_password=first_password(settings, system.secrets),
    )


async def still_first_password(system: Context, tenant: Tenant, settings: Settings) -> bool:
    """Whether the owner's password is still the first one."""
    user = await User.of(tenant.id, username=USERNAME).first()
    if user is None:
        return False
    return await system.passwords.verify(
        user.password_hash, first_password(settings, system.secrets)
    )
