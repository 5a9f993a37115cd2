"""Target states: what should run on an agent, set by people and polled by the agent."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.access import Permission, allow
from core.callers import Role
from core.context import Context
from core.default_states import with_both_intervals
from core.errors import NotFound, Unavailable
from core.target_documents import checked_document, keyed_document, refuse, update_problems
from models.agents import Agent, lock_agent
from models.target_states import EMPTY_ETAG, TargetState, empty_state, standing_polls
from models.unit_of_work import database_errors, unit_of_work
from resolvers.agents import mark_seen
from resolvers.own_agent import own_agent_id, require_readable
from resolvers.target_changes import Document, change_target_state


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What an agent polls: the document keyed by its uuid, and the tag it echoes next time."""

    etag: str
    document: dict[str, Any]


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def get_target_state(ctx: Context, agent_uuid: UUID) -> TargetState:
    """Return an agent's target state; one that was never set is empty and has version 1."""
    require_readable(ctx, agent_uuid)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        state = await TargetState.of(ctx.tenant_id, agent_id=agent.id).first()
    return state or empty_state(agent)


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def list_target_states(ctx: Context, agent_ids: Collection[int]) -> list[TargetState]:
    """Return the target states of agents in one query; those that were never set are left out.

    Agents may read their own. Raises NotFound when one asks about another.
    """
    if ctx.caller.role is Role.AGENT:
        own = own_agent_id(ctx)
        for agent_id in agent_ids:
            if agent_id != own:
                raise NotFound("agent", agent_id)
    with database_errors():
        return await TargetState.of(ctx.tenant_id, agent_id__in=sorted(set(agent_ids)))


@allow(Permission.DEVICE_WRITE)
async def set_target_state(
    ctx: Context,
    agent_uuid: UUID,
    *,
    apps: object,
    config: object | None,
    if_version: int | None = None,
    comment: str = "",
) -> TargetState:
    """Replace an agent's target state as a whole; its version grows by one if that differs.

    `apps` is an object keyed by app id or an array of objects with `appId`; without `config` the
    configuration is emptied. `***` where an answer masked a secret stands for that. Raises
    PreconditionFailed unless `if_version` is the present one, InvalidInput with the path of what
    is wrong, PayloadTooLarge.
    """
    bytes_max = ctx.policy.target_state_bytes_max
    sent = Document(*keyed_document(apps, config, bytes_max=bytes_max))

    def edit(present: Document) -> Document:
        meant = sent.unmasked(present)
        keyed, settings = checked_document(meant.apps, meant.config, bytes_max=bytes_max)
        refuse({"apps": keyed, "config": settings}, update_problems(present.config, settings))
        return Document(keyed, settings)

    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        return await change_target_state(
            ctx, work, agent, edit, if_version=if_version, comment=comment
        )


@allow(Permission.DEVICE_WRITE)
async def clear_target_state(
    ctx: Context, agent_uuid: UUID, *, if_version: int | None = None
) -> TargetState:
    """Empty an agent's target state. Agents keep their endpoints when the list is empty."""
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        empty = Document({}, {})
        return await change_target_state(
            ctx, work, agent, lambda _: empty, if_version=if_version, comment="cleared"
        )


@allow(Permission.AGENT_SELF)
async def poll_target_state(ctx: Context, agent_uuid: UUID) -> DeviceState:
    """Return what the calling agent should run, and note that it was seen.

    Intervals are completed here and not in storage, so that operators read what they wrote.
    """
    agent_id = own_agent_id(ctx, agent_uuid)
    with database_errors():
        state = await TargetState.of(ctx.tenant_id, agent_id=agent_id).first()
    with suppress(
        Unavailable
    ):  # two failed polls silence an agent; a missed sighting is made up by the next
        await mark_seen(ctx, [agent_id])
    document = {
        "apps": state.apps if state else {},
        "config": with_both_intervals(state.config) if state else {},
        "version": state.version if state else 1,
        "needs_deployment": False,
        "last_deployed_at": state.updated_at.isoformat() if state else None,
    }
    return DeviceState(state.etag if state else EMPTY_ETAG, {str(agent_uuid): document})


@allow(Permission.SYSTEM)
async def find_polled_etags(ctx: Context, key_digests: Collection[bytes]) -> dict[bytes, str]:
    """Return what a poll would be tagged with, for those of the device keys that may poll now."""
    with database_errors():
        found = await standing_polls(key_digests, ctx.clock.now())
    return {each.key_hash: each.etag or EMPTY_ETAG for each in found}
