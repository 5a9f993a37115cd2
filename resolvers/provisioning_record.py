"""What the audit log tells of agents that ask to be let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

from core.audit import AuditEntry, AuditType, Severity, agent_entry
from core.context import Context
from core.errors import (
    AppError,
    Conflict,
    ErrorCode,
    Forbidden,
    LimitReached,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from core.rate_limits import RateScope, address_key
from models.agents import Agent
from models.audit import append_audit
from models.device_keys import find_key_holder
from models.provisioning import ProvisioningKey, find_provisioning_key
from models.unit_of_work import database_errors
from resolvers.memories import Memory

FAILURE_SECONDS: Final = 60
"""The same failure from the same address is recorded at most this often by one process."""

_REFUSALS = (Unauthenticated, Forbidden, NotFound, Conflict, LimitReached)

_failures: Memory[tuple[str, AuditType, ErrorCode], None] = Memory(entries_max=10_000)


def key_made(row: ProvisioningKey) -> AuditEntry:
    """Return what is recorded of a new provisioning key."""
    names = ("description", "agents_max", "fleet_uuid", "expires_at")
    after = {name: getattr(row, name) for name in names}
    type_ = AuditType.PROVISIONING_KEY_CREATED
    return AuditEntry(type_, f"provisioning-key:{row.id}", after=after)


def key_revoked(row: ProvisioningKey) -> AuditEntry:
    """Return what is recorded of a provisioning key that lets nobody in any more."""
    type_ = AuditType.PROVISIONING_KEY_REVOKED
    after = {"is_active": False, "reason": row.revoke_reason, "agents_used": row.agents_used}
    return AuditEntry(type_, f"provisioning-key:{row.id}", before={"is_active": True}, after=after)


def exchanged(agent: Agent) -> AuditEntry:
    """Return what is recorded of a proof that was accepted."""
    return agent_entry(AuditType.KEY_EXCHANGE_SUCCESS, agent.uuid, tenant_id=agent.tenant_id)


def let_in(key: ProvisioningKey, uuid: UUID, *, is_new: bool) -> list[AuditEntry]:
    """Return what is recorded of a registration; one that was repeated has begun before."""
    details: dict[str, object] = {"provisioning_key_id": key.id}
    success = agent_entry(
        AuditType.PROVISIONING_SUCCESS, uuid, tenant_id=key.tenant_id, details=details
    )
    if not is_new:
        return [success]
    started = agent_entry(
        AuditType.PROVISIONING_STARTED, uuid, tenant_id=key.tenant_id, details=details
    )
    return [started, success]


@asynccontextmanager
async def recording_registration(ctx: Context, uuid: UUID, key_hash: bytes) -> AsyncIterator[None]:
    """Record it when the block refuses an agent that brought this provisioning key."""
    try:
        yield
    except _REFUSALS as error:
        is_limit = isinstance(error, LimitReached)
        failed = AuditType.PROVISIONING_FAILED
        type_ = AuditType.PROVISIONING_LIMIT_EXCEEDED if is_limit else failed
        await _count_failure(ctx)
        with database_errors():
            key = await find_provisioning_key(key_hash)
        details: dict[str, object] = {"provisioning_key_id": key.id if key else None}
        await _record(ctx, type_, uuid, key.tenant_id if key else 0, error, details)
        raise


@asynccontextmanager
async def recording_exchange(ctx: Context, uuid: UUID, key_hash: bytes) -> AsyncIterator[None]:
    """Record it when the block refuses the proof of an agent that brought this device key."""
    try:
        yield
    except _REFUSALS as error:
        with database_errors():
            holder = await find_key_holder(key_hash)
        tenant_id = holder.tenant_id if holder else 0
        await _record(ctx, AuditType.KEY_EXCHANGE_FAILED, uuid, tenant_id, error, {})
        raise


async def _count_failure(ctx: Context) -> None:
    """Count a refusal against its address. What is wrong is told first; the block comes next time.

    Proofs that fail are not counted: nobody guesses a signature, and an agent whose key exchange
    is refused for good never comes back by itself.
    """
    with suppress(RateLimited):
        await ctx.limits.hit(RateScope.PROVISIONING, address_key(ctx.remote_address))


async def _record(
    ctx: Context,
    type_: AuditType,
    uuid: UUID,
    tenant_id: int,
    error: AppError,
    details: dict[str, object],
) -> None:
    """Write a row of its own: the refused transaction is gone. Anybody may cause these."""
    seen, now = (ctx.remote_address, type_, error.code), ctx.clock.now()
    if _failures.get(seen, now) is not None:
        return
    _failures.put(seen, None, now, seconds=FAILURE_SECONDS)
    entry = agent_entry(
        type_,
        uuid,
        tenant_id=tenant_id,
        severity=Severity.WARNING,
        details={"reason": error.message, "code": error.code, **details},
    )
    with suppress(Unavailable), database_errors():
        await append_audit(ctx, [entry])
