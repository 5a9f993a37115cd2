"""Permissions, the role table, and the decorator that ties them to use cases."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from core.callers import Caller, Role
from core.context import Context
from core.errors import Forbidden, Unauthenticated
from core.fence import fence, fenced_tenant
from core.rate_limits import RateScope


class Permission(StrEnum):
    """What a use case asks of its caller. The first block is for people, the rest is not."""

    USER_READ = "user:read"
    USER_WRITE = "user:write"
    USER_DELETE = "user:delete"
    DEVICE_READ = "device:read"
    DEVICE_WRITE = "device:write"
    DEVICE_DELETE = "device:delete"
    DEVICE_CONTROL = "device:control"
    MQTT_USER_READ = "mqtt:user:read"
    MQTT_USER_WRITE = "mqtt:user:write"
    MQTT_ACL_MANAGE = "mqtt:acl:manage"
    API_KEY_READ = "api-key:read"
    API_KEY_CREATE = "api-key:create"
    API_KEY_REVOKE = "api-key:revoke"
    DATA_READ = "data:read"
    DATA_EXPORT = "data:export"
    DATA_DELETE = "data:delete"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    BILLING_READ = "billing:read"
    BILLING_MANAGE = "billing:manage"
    PROVISIONING_READ = "provisioning:read"
    PROVISIONING_MANAGE = "provisioning:manage"
    USER_ADMIN = "user:admin"  # accounts as such: addresses, roles, sessions
    AUDIT_READ = "audit:read"
    TENANT_MANAGE = "tenant:manage"  # of the first tenant's owner: the installation's
    SELF = "self"  # any signed-in person, also by API key
    SELF_MANAGE = "self:manage"  # a person who signed in, never an API key
    SELF_PASSWORD = "self:password"  # noqa: S105  (the same, even while a new one has to be chosen)
    AGENT_SELF = "agent:self"  # an agent, about itself
    SYSTEM = "system"  # the program's own work
    PUBLIC = "public"  # nobody in particular; the use case checks its own credential


_PEOPLE = (Role.OWNER, Role.ADMIN, Role.MANAGER, Role.OPERATOR, Role.VIEWER)
_UP_TO_OPERATOR = _PEOPLE[:4]
_UP_TO_MANAGER = _PEOPLE[:3]
_UP_TO_ADMIN = _PEOPLE[:2]

ROLES: dict[Permission, frozenset[Role]] = {
    Permission.USER_READ: frozenset(_PEOPLE),
    Permission.USER_WRITE: frozenset(_UP_TO_MANAGER),
    Permission.USER_DELETE: frozenset(_UP_TO_ADMIN),
    Permission.DEVICE_READ: frozenset(_PEOPLE),
    Permission.DEVICE_WRITE: frozenset(_UP_TO_MANAGER),
    Permission.DEVICE_DELETE: frozenset(_UP_TO_ADMIN),
    Permission.DEVICE_CONTROL: frozenset(_UP_TO_OPERATOR),
    Permission.MQTT_USER_READ: frozenset(_UP_TO_OPERATOR),
    Permission.MQTT_USER_WRITE: frozenset(_UP_TO_ADMIN),
    Permission.MQTT_ACL_MANAGE: frozenset(_UP_TO_ADMIN),
    Permission.API_KEY_READ: frozenset(_UP_TO_MANAGER),
    Permission.API_KEY_CREATE: frozenset(_UP_TO_ADMIN),
    Permission.API_KEY_REVOKE: frozenset(_UP_TO_ADMIN),
    Permission.DATA_READ: frozenset(_PEOPLE),
    Permission.DATA_EXPORT: frozenset(_UP_TO_MANAGER),
    Permission.DATA_DELETE: frozenset(_UP_TO_ADMIN),
    Permission.SETTINGS_READ: frozenset(_PEOPLE),
    Permission.SETTINGS_WRITE: frozenset(_UP_TO_ADMIN),
    Permission.BILLING_READ: frozenset(_PEOPLE[:1]),
    Permission.BILLING_MANAGE: frozenset(_PEOPLE[:1]),
    Permission.PROVISIONING_READ: frozenset(_UP_TO_MANAGER),
    Permission.PROVISIONING_MANAGE: frozenset(_UP_TO_ADMIN),
    Permission.USER_ADMIN: frozenset(_UP_TO_ADMIN),
    Permission.AUDIT_READ: frozenset(_UP_TO_ADMIN),
    Permission.TENANT_MANAGE: frozenset(_PEOPLE[:1]),
    Permission.SELF: frozenset(_PEOPLE),
    Permission.SELF_MANAGE: frozenset(_PEOPLE),
    Permission.SELF_PASSWORD: frozenset(_PEOPLE),
    Permission.AGENT_SELF: frozenset({Role.AGENT}),
    Permission.SYSTEM: frozenset({Role.SYSTEM}),
    Permission.PUBLIC: frozenset(Role),
}
"""Which roles hold which permission: the only role table."""

_UNSCOPED = frozenset({Permission.SELF, Permission.PUBLIC})

OF_ONESELF = frozenset({Permission.SELF_MANAGE, Permission.SELF_PASSWORD})
"""What no API key ever has."""

PASSWORD_ONLY = frozenset({Permission.SELF_PASSWORD})
"""The scopes of a person who has to choose a new password before anything else."""

SCOPES: tuple[Permission, ...] = tuple(
    permission
    for permission, roles in ROLES.items()
    if roles <= frozenset(_PEOPLE) and ":" in permission and permission not in OF_ONESELF
)
"""What an API key can be narrowed to: every permission of people but their own account's."""


def holds(caller: Caller, permission: Permission) -> bool:
    """Whether the caller's role has the permission, and its API key, if it came with one."""
    if caller.role not in ROLES[permission]:
        return False
    return caller.scopes is None or permission in caller.scopes or permission in _UNSCOPED


def permissions_of(caller: Caller) -> frozenset[Permission]:
    """Return all that the caller may do."""
    return _permissions_of(Caller(caller.role, scopes=caller.scopes))


@lru_cache(1_000)
def _permissions_of(caller: Caller) -> frozenset[Permission]:
    return frozenset(permission for permission in Permission if holds(caller, permission))


@dataclass(frozen=True, slots=True)
class UseCase:
    """A public function of `resolvers/` and what it asks of its caller."""

    name: str
    permissions: tuple[Permission, ...]
    limit: RateScope | None = None

    def admits(self, caller: Caller) -> bool:
        """Whether the caller holds one of the permissions."""
        return any(holds(caller, permission) for permission in self.permissions)

    def allows(self, role: Role) -> bool:
        """Whether `role` holds one of the permissions."""
        return any(role in ROLES[permission] for permission in self.permissions)


USE_CASES: dict[str, UseCase] = {}
"""Every use case that has been imported, by `module.function`."""

P = ParamSpec("P")
R = TypeVar("R")


def allow(
    *permissions: Permission,
    limit: RateScope | None = None,
) -> Callable[
    [Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]],
    Callable[Concatenate[Context, P], Coroutine[Any, Any, R]],
]:
    """Let callers through who hold one of `permissions`; register the use case.

    Raises Unauthenticated for nobody and Forbidden for a caller without the permission. People's
    calls are counted under `limit`, which raises RateLimited. The use case runs fenced to its
    caller's tenant (core/fence.py).
    """

    def decorate(
        function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]:
        name = f"{function.__module__.removeprefix('resolvers.')}.{function.__name__}"
        use_case = UseCase(name, permissions, limit)
        USE_CASES[name] = use_case

        @wraps(function)
        async def checked(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
            caller = ctx.caller
            check(caller, use_case)
            if limit is not None and caller.user_id is not None:
                await ctx.limits.hit(limit, f"user:{caller.user_id}")
            if fenced_tenant.get() == caller.tenant_id:
                return await function(ctx, *args, **kwargs)
            with fence(caller.tenant_id):
                return await function(ctx, *args, **kwargs)

        return checked

    return decorate


def check(caller: Caller, use_case: UseCase) -> None:
    """Raise unless `caller` may call `use_case`."""
    if use_case.admits(caller):
        return
    if caller.role is Role.NOBODY:
        raise Unauthenticated
    needed = " or ".join(use_case.permissions)
    raise refusal(caller, f"{use_case.name} needs {needed}", permission=needed)


def refusal(caller: Caller, sentence: str, **facts: object) -> Forbidden:
    """Return the error for a caller who may not; who only lacks a new password is told so."""
    if caller.scopes == PASSWORD_ONLY:
        sentence = "Choose a new password first"
    return Forbidden(sentence, **facts)
