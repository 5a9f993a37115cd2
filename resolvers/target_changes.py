"""The one way in which target states change: every edit, whoever makes it, goes through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from core.audit import AuditType, agent_entry
from core.context import Context
from core.errors import PreconditionFailed
from core.etag import state_etag
from core.events import TARGET_STATES, AgentChanged, TargetStateChanged, agents_topic
from models.agents import Agent
from models.target_states import TargetState
from models.unit_of_work import Work
from resolvers.endpoint_sync import note_target

EMPTY_ETAG: Final = state_etag({}, {})


@dataclass(frozen=True, slots=True)
class Document:
    """What an agent should run: containers by app id, and its configuration."""

    apps: dict[str, Any]
    config: dict[str, Any]


async def change_target_state(
    ctx: Context,
    work: Work,
    agent: Agent,
    edit: Callable[[Document], Document],
    *,
    if_version: int | None = None,
    comment: str = "",
) -> TargetState:
    """Replace an agent's live target state by what `edit` makes of it; its version grows by one.

    A step of the caller's work, which holds the agent's row (`lock_agent`). `edit` must not
    change its argument and returns a checked document. Raises PreconditionFailed unless
    `if_version` is the present version.
    """
    state = await TargetState.of(ctx.tenant_id, agent_id=agent.id).first() or empty_state(agent)
    if if_version is not None and if_version != state.version:
        raise PreconditionFailed(
            f"The target state has version {state.version}, not {if_version}",
            version=state.version,
        )
    before, told = Document(state.apps, state.config), _told(state)
    after = edit(before)
    state.version += 1
    state.apps, state.config = after.apps, after.config
    state.etag = state_etag(after.apps, after.config)
    state.updated_at = ctx.clock.now()
    state.updated_by = ctx.caller.user_id
    await state.save()
    await note_target(ctx, work, agent, before.config, after.config)
    work.record(
        agent_entry(AuditType.DEVICE_CONFIG_UPDATE, agent.uuid, before=told, after=_told(state))
    )
    work.emit(TARGET_STATES, TargetStateChanged(ctx.tenant_id, agent.uuid))
    work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid))
    return state


def empty_state(agent: Agent) -> TargetState:
    """Return the target state of an agent that was never given one."""
    return TargetState(
        tenant_id=agent.tenant_id,
        agent_id=agent.id,
        version=1,
        apps={},
        config={},
        etag=EMPTY_ETAG,
        updated_at=agent.created_at,
    )


def _told(state: TargetState) -> dict[str, object]:
    names = ("version", "etag", "apps", "config")
    return {name: getattr(state, name) for name in names}
