"""The one way in which target states change: every edit, whoever makes it, goes through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from core.audit import AuditType, agent_entry
from core.callers import Role
from core.context import Context
from core.etag import state_etag
from core.events import (
    BROKER_MESSAGES,
    TARGET_STATES,
    AgentChanged,
    BrokerMessagesChanged,
    TargetStateChanged,
    agents_topic,
)
from core.unmasking import unmasked
from models.agents import Agent
from models.api_keys import ApiKey
from models.broker_messages import put_message
from models.target_states import TargetState, present_state
from models.target_versions import put_version
from models.unit_of_work import Work
from models.users import User
from resolvers.endpoint_sync import note_target

HINT_CHANNEL: Final = "target-state"
COMMENT_CHARS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Document:
    """What an agent should run: containers by app id, and its configuration."""

    apps: dict[str, Any]
    config: dict[str, Any]

    def unmasked(self, present: Document) -> Document:
        """Return the document with what `present` holds for each `***` that was sent back.

        Raises InvalidInput with the path of one that stands for nothing.
        """
        sent, stored = ({"apps": each.apps, "config": each.config} for each in (self, present))
        return Document(**unmasked(sent, stored))


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
    change its argument and returns a checked document; when that equals the present one nothing
    changes, the version neither. Raises PreconditionFailed unless `if_version` is the present
    version.
    """
    state = await present_state(agent, if_version)
    before, told = Document(state.apps, state.config), _told(state)
    after = edit(before)
    etag = state_etag(after.apps, after.config)
    if etag == state_etag(before.apps, before.config):
        return state
    state.version += 1
    state.apps, state.config, state.etag = after.apps, after.config, etag
    state.updated_at = ctx.clock.now()
    state.updated_by = ctx.caller.user_id
    await state.save()
    author = await _author(ctx)
    keep = ctx.policy.target_state_versions
    await put_version(state, author, comment[:COMMENT_CHARS_MAX], keep=keep)
    await note_target(ctx, work, agent, before.config, after.config)
    await put_message(agent.tenant_id, agent.id, HINT_CHANNEL, _hint(state), state.updated_at)
    work.record(
        agent_entry(AuditType.DEVICE_CONFIG_UPDATE, agent.uuid, before=told, after=_told(state))
    )
    work.emit(TARGET_STATES, TargetStateChanged(ctx.tenant_id, agent.uuid))
    work.emit(BROKER_MESSAGES, BrokerMessagesChanged())
    work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid))
    return state


async def _author(ctx: Context) -> str:
    """Return who makes the change, in a form that outlives the account."""
    caller = ctx.caller
    if caller.user_id is None:
        return "agent" if caller.role is Role.AGENT else "system"
    user = await User.of(ctx.tenant_id, id=caller.user_id).first()
    name = user.username if user else str(caller.user_id)
    if caller.api_key_id is None:
        return name
    key = await ApiKey.of(ctx.tenant_id, id=caller.api_key_id).first()
    return f"{name} with API key {key.name if key else caller.api_key_id}"


def _hint(state: TargetState) -> bytes:
    told = {"version": state.version, "etag": state.etag, "updated_at": state.updated_at}
    return orjson.dumps(told)


def _told(state: TargetState) -> dict[str, object]:
    names = ("version", "etag", "apps", "config")
    return {name: getattr(state, name) for name in names}
