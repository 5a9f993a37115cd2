"""Whose device key it is that calls."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.callers import Caller, Role
from core.context import Context
from core.errors import Forbidden, Unauthenticated
from core.events import ACCESS, AccessChanged
from core.ids import secret_hash
from models.device_keys import KeyHolder, find_key_holder, note_first_use
from models.unit_of_work import database_errors, unit_of_work

DEVICE_KEY_PURPOSE: Final = "device-key"


@allow(Permission.PUBLIC)
async def caller_from_device_key(ctx: Context, key: str, *, uuid: UUID | None) -> Caller:
    """Return the agent behind a device key; with one statement, so that revocation bites at once.

    Raises Unauthenticated for an unknown key, and Forbidden for a deactivated agent, a key whose
    agent has not proven itself yet, and an agent other than `uuid`.
    """
    if not key:
        raise Unauthenticated("A device key is required")
    return await _caller_of_digest(ctx, secret_hash(DEVICE_KEY_PURPOSE, key), uuid)


@allow(Permission.SYSTEM)
async def caller_from_key_digest(ctx: Context, digest: bytes) -> Caller:
    """Return the same for the stored digest of a key: for work that was put off and kept no key."""
    return await _caller_of_digest(ctx, digest, None)


async def _caller_of_digest(ctx: Context, digest: bytes, uuid: UUID | None) -> Caller:
    with database_errors():
        holder = await find_key_holder(digest)
    if holder is None:
        raise Unauthenticated("The device key is not valid")
    if holder.has_ended(ctx.clock.now()):
        raise Unauthenticated("The device key was revoked, or has ended")
    if uuid is not None and uuid != holder.agent_uuid:
        raise Forbidden("The device key belongs to another agent")
    if not holder.is_active:
        raise Forbidden("This agent is deactivated")
    if not holder.is_proven:
        raise Forbidden("This agent has not completed its key exchange")
    if not holder.is_used and not holder.is_superseded:
        await _take_up(ctx, holder)
    return Caller(
        Role.AGENT,
        holder.tenant_id,
        agent_id=holder.agent_id,
        agent_uuid=holder.agent_uuid,
        device_key_id=holder.key_id,
        device_key_superseded=holder.is_superseded,
    )


async def _take_up(ctx: Context, holder: KeyHolder) -> None:
    """Note that the agent goes by this key now, so that the keys before it can run out."""
    async with unit_of_work(ctx) as work:
        replaces = await note_first_use(
            holder.tenant_id, holder.agent_id, holder.key_id, ctx.clock.now()
        )
        if replaces:
            work.emit(ACCESS, AccessChanged(holder.tenant_id, agent_id=holder.agent_id))
