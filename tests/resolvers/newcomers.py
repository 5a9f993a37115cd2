"""People who come: as strangers, as who invites, and what is counted and recorded of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.callers import Caller, Role
from core.context import Context
from core.errors import RateLimited
from core.policy import Registration
from core.rate_limits import RateScope, RateState
from models.connection import fetch
from tests.factories import make_user
from tests.resolvers.edge import nobody

PASSWORD = "correct horse battery"


class CountingLimits:
    """Remembers what was counted; refuses keys that are full."""

    def __init__(self, *full: str) -> None:
        self.hits: list[tuple[RateScope, tuple[str, ...]]] = []
        self._full = set(full)

    async def check(self, scope: RateScope, key: str) -> None:
        pass

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        self.hits.append((scope, keys))
        if self._full.intersection(keys):
            raise RateLimited("too many", retry_after_seconds=60)
        return None


def stranger(ctx: Context, registration: Registration = Registration.OPEN) -> Context:
    policy = replace(ctx.policy, registration=registration)
    return replace(nobody(ctx), policy=policy, remote_address="203.0.113.7")


async def owner(ctx: Context, role: Role = Role.OWNER) -> Context:
    """Return a context of a new person of the tenant who has a row."""
    user = await make_user(ctx, role=role, full_name="Olga Owner")
    return ctx.acting_as(Caller(role, ctx.tenant_id, user_id=user.id))


def person(ctx: Context, **changes: Any) -> dict[str, Any]:
    unique = ctx.ids.secret_hex(8)
    return {
        "username": f"new-{unique}",
        "email": f"{unique}@example.com",
        "password": PASSWORD,
        "full_name": "Nora New",
    } | changes


async def audited(ctx: Context, subject: str) -> list[dict[str, Any]]:
    return await fetch(
        "select event_type, tenant_id, user_id, details::text from audit_event"
        " where subject = $1 order by created_at",
        subject,
    )
