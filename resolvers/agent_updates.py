"""Updates of agents' own software: asked for, followed, called off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from core.access import Permission, allow
from core.agent_updates import REASON_CHARS_MAX, UpdateCommand, UpdateState, check_version
from core.audit import AuditType, agent_entry
from core.context import Context
from core.errors import AppError, Conflict, InvalidInput, NotFound
from core.events import BROKER_MESSAGES, BrokerMessagesChanged
from core.paging import PAGE_SIZE_MAX, Slice, page_size
from models.agent_updates import (
    AgentUpdate,
    UpdateFilter,
    end_updates,
    lock_agents,
    open_update,
    open_updates,
    page_of_updates,
    put_updates,
    updates_moved_since,
)
from models.agents import Agent, ProvisioningState, lock_agent
from models.broker_messages import put_messages
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.target_changes import Document, change_target_state
from resolvers.update_progress import (
    COMMANDS,
    move_update,
    tell_followers,
    tell_of_move,
    undeclared,
)

__all__ = ["UpdateFilter"]

AGENTS_MAX: Final = 500
EXPIRES_HOURS_MAX: Final = 720
SCHEDULE_MAX: Final = timedelta(days=365)
CLOCKS_APART: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class UpdateWish:
    """What agents are asked to become.

    Attributes:
        version: x.y.z, or `latest`, which agents of today refuse.
        scheduled_at: when to begin; None is at once.
        is_forced: update although checks beforehand fail.
        expires_in_hours: how long from then on (or from now) an agent may begin.
        is_declared: put it into the target state too, for agents that miss their messages.
        replaces: give up an update that is open and has not begun.
    """

    version: str
    scheduled_at: datetime | None = None
    is_forced: bool = False
    expires_in_hours: int = 24
    is_declared: bool = False
    replaces: bool = False

    def command(self, now: datetime) -> UpdateCommand:
        """Return what agents are told; raises InvalidInput."""
        if not 1 <= self.expires_in_hours <= EXPIRES_HOURS_MAX:
            raise InvalidInput("expiresInHours", f"must be between 1 and {EXPIRES_HOURS_MAX}")
        at = self.scheduled_at
        if at is not None and not now - CLOCKS_APART <= at <= now + SCHEDULE_MAX:
            raise InvalidInput("scheduledAt", f"must be within {SCHEDULE_MAX.days} days from now")
        return UpdateCommand(
            version=check_version(self.version),
            scheduled_at=at,
            is_forced=self.is_forced,
            issued_at=now,
            expires_at=(at or now) + timedelta(hours=self.expires_in_hours),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an agent was not asked to update itself."""

    agent_uuid: UUID
    message: str


@dataclass(frozen=True, slots=True)
class UpdateRequests:
    """What became of a wish for many agents."""

    updates: list[AgentUpdate]
    refused: list[Refusal]


@allow(Permission.DEVICE_CONTROL)
async def request_agent_update(ctx: Context, agent_uuid: UUID, wish: UpdateWish) -> AgentUpdate:
    """Ask an agent to update itself.

    Raises NotFound; Conflict when the agent is deactivated, or has an open update that `wish`
    does not replace or that has begun.
    """
    async with unit_of_work(ctx) as work:
        made, refusals = await _request(ctx, work, [agent_uuid], wish)
        if refusals:
            raise refusals[agent_uuid]
    return made[0]


@allow(Permission.DEVICE_CONTROL)
async def request_agent_updates(
    ctx: Context, agent_uuids: Sequence[UUID], wish: UpdateWish
) -> UpdateRequests:
    """Ask up to 500 agents to update themselves; each that cannot be asked is named with why."""
    if not 1 <= len(agent_uuids) <= AGENTS_MAX:
        raise InvalidInput("agentUuids", f"must have 1 to {AGENTS_MAX} items", limit=AGENTS_MAX)
    async with unit_of_work(ctx) as work:
        made, refusals = await _request(ctx, work, agent_uuids, wish)
    refused = [Refusal(uuid, error.message) for uuid, error in refusals.items()]
    return UpdateRequests(made, refused)


@allow(Permission.DEVICE_CONTROL)
async def cancel_agent_update(
    ctx: Context, update_id: UUID, agent_uuid: UUID | None = None
) -> AgentUpdate:
    """Call an open update off and take the command back; an agent that has it may still obey.

    Raises NotFound, also when it is not of `agent_uuid`; Conflict when it has begun or is over.
    """
    async with unit_of_work(ctx) as work:
        found = await AgentUpdate.find_row(ctx.tenant_id, id=update_id)
        if agent_uuid not in {None, found.agent_uuid}:
            raise NotFound(AgentUpdate.noun, update_id)
        await lock_agent(ctx.tenant_id, found.agent_uuid)
        update = await open_update(ctx.tenant_id, found.agent_id)
        if update is None or update.id != update_id:
            raise Conflict("The update is over", state=found.state)
        if update.state is UpdateState.IN_PROGRESS:
            raise _has_begun(update)
        await move_update(ctx, work, update, UpdateState.CANCELLED, None)
    return update


@allow(Permission.DEVICE_READ)
async def get_agent_update(ctx: Context, update_id: UUID) -> AgentUpdate:
    """Return one update. Raises NotFound."""
    with database_errors():
        return await AgentUpdate.find_row(ctx.tenant_id, id=update_id)


@allow(Permission.DEVICE_READ)
async def list_agent_updates(
    ctx: Context, wanted: UpdateFilter, first: int, after: str | None
) -> Slice[AgentUpdate]:
    """Return updates, newest first; raises NotFound for those of an agent that is not there."""
    with database_errors():
        if wanted.agent_uuid is not None:
            await Agent.find_row(ctx.tenant_id, uuid=wanted.agent_uuid)
        return await page_of_updates(ctx.tenant_id, wanted, page_size(first), after)


@allow(Permission.DEVICE_READ)
async def list_moved_updates(
    ctx: Context,
    since: datetime,
    agent_uuid: UUID | None = None,
    after: AgentUpdate | None = None,
) -> list[AgentUpdate]:
    """Return updates that may have moved since then: the open ones, and those that have ended.

    Up to 500, oldest first; further ones are behind the last of them, `after`.
    """
    with database_errors():
        return await updates_moved_since(ctx.tenant_id, since, agent_uuid, PAGE_SIZE_MAX, after)


async def _request(
    ctx: Context, work: Work, uuids: Sequence[UUID], wish: UpdateWish
) -> tuple[list[AgentUpdate], dict[UUID, AppError]]:
    """Ask agents, in as many statements however many there are, unless they are told twice."""
    command = wish.command(ctx.clock.now())
    agents = {agent.uuid: agent for agent in await lock_agents(ctx.tenant_id, set(uuids))}
    opened = await open_updates(ctx.tenant_id, [agent.id for agent in agents.values()])
    refusals: dict[UUID, AppError] = {}
    asked: list[Agent] = []
    for uuid in dict.fromkeys(uuids):
        agent = agents.get(uuid)
        if agent is None:
            refusals[uuid] = NotFound(Agent.noun, uuid)
            continue
        refusal = _refusal(agent, opened.get(agent.id), wish)
        if refusal is not None:
            refusals[uuid] = refusal
        else:
            asked.append(agent)
    await _replace(ctx, work, asked, opened, wish)
    made = [_update(ctx, agent, command, wish) for agent in asked]
    await put_updates(made)
    await _tell(ctx, work, asked, command, is_declared=wish.is_declared)
    for update in made:
        _record(work, update)
    return made, refusals


def _refusal(agent: Agent, before: AgentUpdate | None, wish: UpdateWish) -> Conflict | None:
    """Return why the agent cannot be asked."""
    if not agent.is_active or agent.provisioning_state is not ProvisioningState.PROVISIONED:
        return Conflict(f"Agent {agent.uuid} is deactivated, or was never provisioned")
    if before is None:
        return None
    if before.state is UpdateState.IN_PROGRESS:
        return _has_begun(before)
    if wish.replaces:
        return None
    message = f"Agent {agent.uuid} has an open update to {before.to_version}"
    return Conflict(message, update_id=str(before.id))


def _has_begun(update: AgentUpdate) -> Conflict:
    message = f"The update of agent {update.agent_uuid} to {update.to_version} has begun"
    return Conflict(message, update_id=str(update.id), state=update.state)


async def _replace(
    ctx: Context,
    work: Work,
    agents: Sequence[Agent],
    opened: Mapping[int, AgentUpdate],
    wish: UpdateWish,
) -> None:
    """Call off what is open for agents that get another command; that one takes its place."""
    replaced = {agent: opened[agent.id] for agent in agents if agent.id in opened}
    reason, now = f"replaced by an update to {wish.version}"[:REASON_CHARS_MAX], ctx.clock.now()
    ids = [update.id for update in replaced.values()]
    if ids:
        await end_updates(ctx.tenant_id, ids, UpdateState.CANCELLED, reason, now)
    for agent, update in replaced.items():
        before, update.state, update.reason = update.state, UpdateState.CANCELLED, reason
        tell_of_move(work, update, before)
        if update.is_declared and not wish.is_declared:
            await change_target_state(ctx, work, agent, undeclared, comment=f"Update {reason}")


def _update(ctx: Context, agent: Agent, command: UpdateCommand, wish: UpdateWish) -> AgentUpdate:
    return AgentUpdate(
        id=ctx.ids.uuid(),
        tenant_id=ctx.tenant_id,
        agent_id=agent.id,
        agent_uuid=agent.uuid,
        from_version=agent.agent_version,
        to_version=command.version,
        state=UpdateState.PENDING,
        is_forced=command.is_forced,
        is_declared=wish.is_declared,
        scheduled_at=command.scheduled_at,
        issued_at=command.issued_at,
        expires_at=command.expires_at,
        requested_by=ctx.caller.user_id,
        created_at=command.issued_at,
    )


def _record(work: Work, update: AgentUpdate) -> None:
    told = {
        "version": update.to_version,
        "scheduled_at": update.scheduled_at,
        "force": update.is_forced,
        "expires_at": update.expires_at,
    }
    entry = agent_entry(
        AuditType.AGENT_UPDATE_REQUESTED,
        update.agent_uuid,
        before={"version": update.from_version},
        after=told,
        details={"update_id": str(update.id)},
    )
    work.record(entry)
    tell_followers(work, update)


async def _tell(
    ctx: Context, work: Work, agents: Sequence[Agent], command: UpdateCommand, *, is_declared: bool
) -> None:
    secret = ctx.policy.agent_update_secret
    message, ids = orjson.dumps(command.document(secret)), [agent.id for agent in agents]
    await put_messages(ctx.tenant_id, ids, COMMANDS, message, command.issued_at)
    work.emit(BROKER_MESSAGES, BrokerMessagesChanged())

    def declared(document: Document) -> Document:
        config = undeclared(document).config
        given = config.get("agent")
        kept = given if isinstance(given, dict) else {}
        return Document(document.apps, config | {"agent": kept | command.declaration(secret)})

    for agent in agents if is_declared else ():
        comment = f"Update to {command.version}"
        await change_target_state(ctx, work, agent, declared, comment=comment)
