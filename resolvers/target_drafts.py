"""Drafts of target states: kept apart from what agents poll until somebody publishes them."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, agent_entry
from core.context import Context
from core.errors import Conflict, InvalidInput
from core.events import AgentChanged, agents_topic
from core.target_documents import (
    checked_document,
    keeping_update,
    keyed_document,
    refuse,
    update_problems,
)
from models.agents import Agent, lock_agent
from models.target_states import TargetState, present_state
from models.unit_of_work import Work, unit_of_work
from resolvers.target_changes import Document, change_target_state


@allow(Permission.DEVICE_WRITE)
async def save_target_draft(
    ctx: Context,
    agent_uuid: UUID,
    *,
    apps: object,
    config: object | None,
    if_version: int | None = None,
) -> TargetState:
    """Keep a document as the agent's draft in place of the one before; agents do not see it.

    Raises as setting a target state does; `if_version` is about the live document. `***` stands
    for what the draft before has there, if there is one and it has all of them, else for what is
    live.
    """
    bytes_max = ctx.policy.target_state_bytes_max
    sent = Document(*keyed_document(apps, config, bytes_max=bytes_max))
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, if_version)
        meant = _unmasked(sent, state)
        keyed, settings = checked_document(meant.apps, meant.config, bytes_max=bytes_max)
        problems = update_problems(state.config, settings)
        refuse({"apps": keyed, "config": settings}, problems)
        before = _told(state)
        state.draft_apps, state.draft_config = keyed, settings
        state.draft_of = state.version
        state.draft_by, state.draft_at = ctx.caller.user_id, ctx.clock.now()
        await _save(ctx, work, agent, state, before)
    return state


@allow(Permission.DEVICE_WRITE)
async def deploy_target_draft(
    ctx: Context,
    agent_uuid: UUID,
    *,
    if_version: int | None = None,
    override: bool = False,
    comment: str = "",
) -> TargetState:
    """Make the draft the live target state.

    Raises Conflict when there is none (fact `pending` is false), and when the live document has
    moved on since the draft was made (fact `draft_of`), unless told to `override`. Raises
    InvalidInput with the path of a `***` in the draft that stands for nothing.
    """
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, if_version)
        if state.draft_apps is None or state.draft_config is None:
            raise _nothing("deploy", state)
        if state.draft_of != state.version and not override:
            raise Conflict(
                f"The draft was made from version {state.draft_of}, but {state.version} is live;"
                " look at it again, or override",
                draft_of=state.draft_of,
                version=state.version,
            )
        draft = Document(state.draft_apps, state.draft_config)

        def edit(present: Document) -> Document:
            meant = draft.unmasked(present)
            return Document(meant.apps, keeping_update(present.config, meant.config))

        before = _told(state)
        state = await change_target_state(ctx, work, agent, edit, comment=comment)
        state.drop_draft()
        await _save(ctx, work, agent, state, before)
    return state


@allow(Permission.DEVICE_WRITE)
async def cancel_target_draft(ctx: Context, agent_uuid: UUID) -> TargetState:
    """Drop the draft. Raises Conflict when there is none (fact `pending` is false)."""
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, None)
        if not state.has_draft:
            raise _nothing("cancel", state)
        before = _told(state)
        state.drop_draft()
        await _save(ctx, work, agent, state, before)
    return state


def _unmasked(sent: Document, state: TargetState) -> Document:
    if state.draft_apps is not None and state.draft_config is not None:
        with suppress(InvalidInput):
            return sent.unmasked(Document(state.draft_apps, state.draft_config))
    return sent.unmasked(Document(state.apps, state.config))


async def _save(
    ctx: Context, work: Work, agent: Agent, state: TargetState, before: dict[str, object]
) -> None:
    await state.save()
    work.record(
        agent_entry(AuditType.DEVICE_DRAFT_CHANGED, agent.uuid, before=before, after=_told(state))
    )
    work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid))


def _told(state: TargetState) -> dict[str, object]:
    names = ("draft_of", "draft_apps", "draft_config")
    return {name: getattr(state, name) for name in names}


def _nothing(what: str, state: TargetState) -> Conflict:
    return Conflict(f"There is no draft to {what}", pending=False, version=state.version)
