"""Device keys after registration: rotation with an overlap, what holds now, revocation.

An agent that never gets the answer to its rotation must not be locked out: until the new key is
seen, the old one holds for everything, and a new key that is never seen ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, Severity, agent_entry
from core.context import Context
from core.errors import InvalidInput
from core.events import (
    ACCESS,
    BROKER_ACCOUNTS,
    AccessChanged,
    AgentChanged,
    BrokerAccountsChanged,
    agents_topic,
)
from core.ids import secret_hash
from core.paging import OpenSlice, page_size
from core.rate_limits import RateScope
from models import liveness
from models.agents import Agent, ProvisioningState, lock_agent
from models.device_keys import (
    DeviceKey,
    add_successor,
    page_of_device_keys,
    revoke_keys,
    stop_broker_login,
)
from models.unit_of_work import database_errors, unit_of_work
from resolvers.device_callers import DEVICE_KEY_PURPOSE
from resolvers.own_agent import own_agent_id, require_readable

GRACE: Final = timedelta(days=7)
"""How long a new key waits to be used before it ends by itself."""

REASON_CHARS_MIN: Final = 5
REASON_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class RotatedKey:
    """A new device key, at the only moment at which its text is known.

    `grace_ends_at`: until then it has to be used once. The old key is good for everything until
    that happens, and for log upload 24 hours longer.
    """

    key: str
    grace_ends_at: datetime


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The calling key's own state, and of a successor that waits to be used."""

    agent_uuid: UUID
    key: DeviceKey
    successor: DeviceKey | None


@dataclass(frozen=True, slots=True)
class Ping:
    """That a device key holds for everything now."""

    agent_uuid: UUID
    timestamp: datetime


@allow(Permission.AGENT_SELF)
async def rotate_device_key(ctx: Context, agent_uuid: UUID, *, reason: str = "") -> RotatedKey:
    """Give the calling agent a new device key; the one it calls with goes on to hold.

    Repeats make another new key: one that was never used is dropped, its answer got lost. The
    broker's login stays as it is. Raises InvalidInput for a reason that is too long.
    """
    agent_id = own_agent_id(ctx, agent_uuid)
    if len(reason) > REASON_CHARS_MAX or "\x00" in reason:
        raise _bad_reason(0)
    now = ctx.clock.now()
    key = f"v2_{ctx.ids.secret_hex(4)}_{ctx.ids.secret_hex(32)}"
    async with unit_of_work(ctx) as work:
        await lock_agent(ctx.tenant_id, agent_uuid)
        await add_successor(
            ctx.tenant_id,
            agent_id,
            secret_hash(DEVICE_KEY_PURPOSE, key),
            now,
            expires_at=now + GRACE,
            reason=reason,
        )
        work.emit(ACCESS, AccessChanged(ctx.tenant_id, agent_id=agent_id))
        details = {"reason": reason, "grace_ends_at": now + GRACE}
        work.record(agent_entry(AuditType.DEVICE_KEY_ROTATED, agent_uuid, details=details))
    return RotatedKey(key, now + GRACE)


@allow(Permission.AGENT_SELF)
async def ping_device(ctx: Context, agent_uuid: UUID) -> Ping:
    """Confirm that the calling device key holds for everything."""
    own_agent_id(ctx, agent_uuid)
    return Ping(agent_uuid, ctx.clock.now())


@allow(Permission.AGENT_SELF)
async def get_key_status(ctx: Context, agent_uuid: UUID) -> KeyStatus:
    """Return how the calling key stands; a superseded key may ask, too."""
    agent_id = own_agent_id(ctx, agent_uuid, superseded_key=True)
    now = ctx.clock.now()
    with database_errors():
        key = await DeviceKey.find_row(ctx.tenant_id, id=ctx.caller.device_key_id)
        newest = (
            await DeviceKey.of(ctx.tenant_id, agent_id=agent_id, id__gt=key.id)
            .filter(proven_at__isnull=False, revoked_at__isnull=True)
            .order_by("-id")
            .first()
        )
    is_waiting = newest is not None and (newest.expires_at is None or newest.expires_at > now)
    return KeyStatus(agent_uuid, key, newest if is_waiting else None)


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def list_device_keys(
    ctx: Context, agent_uuid: UUID, first: int, after: str | None = None
) -> OpenSlice[DeviceKey]:
    """Return an agent's keys, newest first, never their text; agents may read their own."""
    require_readable(ctx, agent_uuid)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_device_keys(ctx.tenant_id, agent.id, page_size(first), after)


@allow(Permission.DEVICE_DELETE, limit=RateScope.ADMIN)
async def revoke_device_keys(ctx: Context, agent_uuid: UUID, *, reason: str) -> Agent:
    """End every key of an agent at once, and its login at the broker.

    The agent has to register again, with a new key. `reason` has 5 to 500 characters. Raises
    NotFound and InvalidInput.
    """
    if not REASON_CHARS_MIN <= len(reason) <= REASON_CHARS_MAX or "\x00" in reason:
        raise _bad_reason(REASON_CHARS_MIN)
    now = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        await liveness.request_drops([agent.id], None, now)
        count = await revoke_keys(ctx.tenant_id, agent.id, now, reason)
        await stop_broker_login(ctx.tenant_id, agent.id, now)
        agent.provisioning_state = ProvisioningState.REGISTERED
        agent.challenge = None
        agent.is_online = False
        agent.changed_at = now
        names = ("provisioning_state", "challenge", "is_online", "changed_at")
        await agent.save(update_fields=names)
        work.emit(ACCESS, AccessChanged(ctx.tenant_id, agent_id=agent.id))
        work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())
        work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent_uuid))
        work.record(
            agent_entry(
                AuditType.DEVICE_KEY_REVOKED,
                agent_uuid,
                severity=Severity.WARNING,
                details={"reason": reason, "keys": count},
            )
        )
    return agent


def _bad_reason(least: int) -> InvalidInput:
    return InvalidInput(
        "reason", f"must have {least} to {REASON_CHARS_MAX} characters", limit=REASON_CHARS_MAX
    )
