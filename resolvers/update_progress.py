"""How updates of agents' software move: by what agents tell, by what they run, and by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from core.access import Permission, allow
from core.agent_updates import (
    DECLARED,
    LATEST,
    RECEIVED,
    UpdateState,
    UpdateStatus,
    epoch_ms,
    moves,
    read_status,
)
from core.audit import AuditType, Severity, agent_entry
from core.callers import system_caller
from core.context import Context
from core.errors import NotFound
from core.events import (
    BROKER_MESSAGES,
    AgentUpdateChanged,
    BrokerMessagesChanged,
    agent_updates_topic,
)
from models.agent_updates import AgentUpdate, open_update, overdue_updates
from models.agents import lock_agent
from models.broker_messages import put_message
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.target_changes import Document, change_target_state

COMMANDS: Final = "agent/update"
"""The channel on which an agent gets its update command."""

STATUSES: Final = "agent/status"
"""The channel on which it tells how that goes."""

RUNNING_MAX: Final = timedelta(minutes=30)
SWEEP_MAX: Final = 100
_BAD: Final = (UpdateState.FAILED, UpdateState.REJECTED, UpdateState.EXPIRED)


async def note_status(ctx: Context, work: Work, content: object, *, retained: bool) -> None:
    """Take over what the calling agent tells of its update; part of the caller's work.

    `content` is a message that arrived for the first time. One about another version, or from
    before the command by the agent's own clock, moves nothing.
    """
    status = read_status(content)
    agent_id, agent_uuid = ctx.caller.agent_id, ctx.caller.agent_uuid
    if status is None or agent_id is None or agent_uuid is None:
        return
    await lock_agent(ctx.tenant_id, agent_uuid)
    update, now = await open_update(ctx.tenant_id, agent_id), ctx.clock.now()
    if update is None or not _belongs(status, update, retained=retained):
        return
    if status.type == RECEIVED and status.at_ms is not None and not retained:
        update.agent_clock_ms = epoch_ms(now) - status.at_ms
    update.add_step(_step(status, now))
    if moves(update.state, status.state):
        assert status.state is not None
        await move_update(ctx, work, update, status.state, status.reason)
        return
    await update.save()
    tell_followers(work, update)


async def note_version(ctx: Context, work: Work, version: str | None) -> None:
    """Let an update succeed by what the calling agent says it runs; part of the caller's work."""
    if version is None or ctx.caller.agent_id is None:
        return
    update = await open_update(ctx.tenant_id, ctx.caller.agent_id)
    if update is None:
        return
    if update.to_version == LATEST:
        is_there = update.from_version is not None and version != update.from_version
    else:
        is_there = version == update.to_version
    if is_there:
        await move_update(ctx, work, update, UpdateState.SUCCEEDED, None)


async def move_update(
    ctx: Context, work: Work, update: AgentUpdate, state: UpdateState, reason: str | None
) -> None:
    """Let an open update go on to `state`; a final one takes the command back from the broker."""
    before, now = update.state, ctx.clock.now()
    update.state, update.reason = state, reason
    if update.acknowledged_at is None and update.progress:
        update.acknowledged_at = now
    if state is UpdateState.IN_PROGRESS:
        update.started_at = now
    if not update.is_open:
        update.finished_at = now
        await _take_back(ctx, work, update)
    await update.save()
    tell_of_move(work, update, before)


def tell_of_move(work: Work, update: AgentUpdate, before: UpdateState) -> None:
    """Write into the record that an update has moved, and tell who follows."""
    is_cancelled = update.state is UpdateState.CANCELLED
    work.record(
        agent_entry(
            AuditType.AGENT_UPDATE_CANCELLED if is_cancelled else AuditType.AGENT_UPDATE_MOVED,
            update.agent_uuid,
            tenant_id=update.tenant_id,
            severity=Severity.WARNING if update.state in _BAD else Severity.INFO,
            before={"state": before},
            after={"state": update.state, "reason": update.reason},
            details={"update_id": str(update.id), "version": update.to_version},
        )
    )
    tell_followers(work, update)


def tell_followers(work: Work, update: AgentUpdate) -> None:
    """Tell who follows updates that this one is not as it was."""
    event = AgentUpdateChanged(update.tenant_id, update.agent_uuid, update.id)
    work.emit(agent_updates_topic(update.tenant_id), event)


@allow(Permission.SYSTEM)
async def sweep_agent_updates(ctx: Context) -> int:
    """End updates of all tenants that nobody began in time, or that began too long ago."""
    with database_errors():
        found = await overdue_updates(ctx.clock.now(), RUNNING_MAX, SWEEP_MAX)
    for each in found:
        own = ctx.acting_as(system_caller(each.tenant_id))
        async with unit_of_work(own) as work:
            try:
                await lock_agent(each.tenant_id, each.agent_uuid)
            except NotFound:
                await each.delete()  # the agent was deleted meanwhile
                continue
            update = await open_update(each.tenant_id, each.agent_id)
            if update is None or update.id != each.id:
                continue
            if update.state is not UpdateState.IN_PROGRESS:
                await move_update(own, work, update, UpdateState.EXPIRED, "not begun in time")
            else:
                minutes = RUNNING_MAX // timedelta(minutes=1)
                reason = f"nothing was heard of its end for {minutes} minutes"
                await move_update(own, work, update, UpdateState.FAILED, reason)
    return len(found)


def _belongs(status: UpdateStatus, update: AgentUpdate, *, retained: bool) -> bool:
    """Whether a message is about this update.

    The agent's clock may be days off. Its first answer, which names the version and comes live,
    tells by how much; what the broker kept (`retained`) may be as old as it says.
    """
    is_named = status.version is not None
    if is_named and update.to_version not in {LATEST, status.version}:
        return False
    if status.at_ms is None:
        return not retained
    if status.type == RECEIVED and is_named and not retained:
        return True
    return status.at_ms + (update.agent_clock_ms or 0) >= epoch_ms(update.issued_at)


def _step(status: UpdateStatus, now: datetime) -> dict[str, object]:
    return {
        "type": status.type,
        "reason": status.reason,
        "at": now.isoformat(),
        "agent_ms": status.at_ms,
    }


async def _take_back(ctx: Context, work: Work, update: AgentUpdate) -> None:
    """Clear the command, which an agent would obey again at every reconnect."""
    now = ctx.clock.now()
    await put_message(update.tenant_id, update.agent_id, COMMANDS, b"", now)
    work.emit(BROKER_MESSAGES, BrokerMessagesChanged())
    if update.is_declared:
        agent = await lock_agent(update.tenant_id, update.agent_uuid)
        await change_target_state(
            ctx, work, agent, undeclared, comment=f"Update to {update.to_version} is over"
        )


def undeclared(document: Document) -> Document:
    """Return the document without a declared update."""
    declared = document.config.get("agent")
    if not isinstance(declared, dict):
        return document
    rest = {name: value for name, value in declared.items() if name not in DECLARED}
    config = {name: value for name, value in document.config.items() if name != "agent"}
    return Document(document.apps, config | {"agent": rest} if rest else config)
