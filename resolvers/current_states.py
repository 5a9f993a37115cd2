"""Current states: what agents report of themselves, and what people see of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, agent_entry
from core.context import Context
from core.drift import diverged_since
from core.endpoint_health import read_health
from core.errors import NotFound
from core.events import AgentChanged, agents_topic
from core.state_reports import StateReport, parse_state_report
from models import endpoint_health, state_history
from models.agent_metrics import append_agent_metrics
from models.agents import Agent
from models.current_states import CurrentState
from models.open_days import open_day
from models.state_comparison import compared_states, note_comparison
from models.state_merging import Merged, merge_metrics, merge_report
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.endpoint_sync import note_report
from resolvers.memories import Memory
from resolvers.own_agent import own_agent_id
from resolvers.state_records import keep_live, keep_replay
from resolvers.update_progress import note_version

TOLD_SECONDS: Final = 30
"""Figures that move all the time are announced at most this often per agent and process."""

PUT_OFF: Final = timedelta(seconds=1)
"""A report that is done later than this after it came must not undo a newer one."""

_told: Memory[int, None] = Memory(entries_max=100_000)


@allow(Permission.AGENT_SELF)
async def report_state(
    ctx: Context,
    body: object,
    *,
    transport: Literal["mqtt", "http"],
    came_at: datetime | None = None,
) -> None:
    """Merge a state report of the calling agent into what is known of it.

    What the report leaves out is unchanged. A report without `version` waited in the agent's
    queue and may be older than all that is stored: it is kept as history and touches nothing
    else, and so is one that came (`came_at`, default: now) before what was merged meanwhile.
    `transport` makes no difference; agents use either at any time. Raises InvalidInput for what
    is no report of this agent.
    """
    report, at = _parsed(ctx, body), came_at or ctx.clock.now()
    if report.is_replay:
        await _keep_replay(ctx, report, at)
        return
    if report.metrics:
        await _open_day("agent_metric", at)
    if report.endpoints_health:
        await _open_day(endpoint_health.HISTORY, at)
    await _open_day(state_history.TABLE, at)
    agent_id = own_agent_id(ctx)
    async with unit_of_work(ctx) as work:
        age = ctx.clock.now() - at
        recent = age < timedelta(seconds=ctx.policy.online_window_seconds)
        merged = await merge_report(
            ctx.tenant_id, agent_id, report, at, is_recent=recent, was_put_off=age > PUT_OFF
        )
        if merged is None:
            raise NotFound("agent", ctx.caller.agent_uuid or agent_id)
        await keep_live(ctx, work, report, merged, at)
        if not merged.is_late:
            await _take_over(ctx, work, report, merged, at, is_recent=recent)


@allow(Permission.AGENT_SELF)
async def report_metrics(ctx: Context, body: object) -> None:
    """Keep the gateway's own figures from a message that is no state report."""
    report, now = _parsed(ctx, body), ctx.clock.now()
    if report.metrics:
        await _open_day("agent_metric", now)
    agent_id = own_agent_id(ctx)
    async with unit_of_work(ctx) as work:
        merged = await merge_metrics(ctx.tenant_id, agent_id, report, now)
        if merged is None:
            raise NotFound("agent", ctx.caller.agent_uuid or agent_id)
        if report.metrics:
            await _keep_figures(ctx, report, now)
        _tell(ctx, work, merged, is_recent=True)


@allow(Permission.DEVICE_READ)
async def get_current_state(ctx: Context, agent_uuid: UUID) -> CurrentState | None:
    """Return what an agent last reported; None when it has not yet. Raises NotFound."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await CurrentState.of(ctx.tenant_id, agent_id=agent.id).first()


@allow(Permission.DEVICE_READ)
async def list_current_states(ctx: Context, agent_ids: Collection[int]) -> list[CurrentState]:
    """Return what agents last reported, in one query; those that have not yet are left out."""
    with database_errors():
        return await CurrentState.of(ctx.tenant_id, agent_id__in=sorted(set(agent_ids)))


@allow(Permission.DEVICE_READ)
async def list_reporting_agents(ctx: Context, agent_ids: Collection[int]) -> list[Agent]:
    """Return the agents with what they reported of their gateways, in one query."""
    with database_errors():
        return await Agent.with_any(ctx.tenant_id, "id", set(agent_ids))


def _parsed(ctx: Context, body: object) -> StateReport:
    own_agent_id(ctx)
    assert ctx.caller.agent_uuid is not None
    return parse_state_report(body, ctx.caller.agent_uuid)


async def _open_day(table: str, now: datetime) -> None:
    with database_errors():
        await open_day(table, now)


async def _keep_replay(ctx: Context, report: StateReport, at: datetime) -> None:
    await _open_day(state_history.TABLE, at)
    agent_id = own_agent_id(ctx)
    async with unit_of_work(ctx) as work:
        if not await state_history.hold_agent(ctx.tenant_id, agent_id):
            raise NotFound("agent", ctx.caller.agent_uuid or agent_id)
        await keep_replay(ctx, work, report, at)


async def _take_over(
    ctx: Context, work: Work, report: StateReport, merged: Merged, at: datetime, *, is_recent: bool
) -> None:
    """Do what follows from a report that was merged."""
    agent_id = own_agent_id(ctx)
    if report.metrics:
        await _keep_figures(ctx, report, at)
    if report.endpoints_health is not None:
        health = read_health(report.endpoints_health)
        await endpoint_health.put_health(ctx.tenant_id, agent_id, health, at)
    drifted = merged.must_compare and await _compare(ctx, agent_id)
    await note_report(ctx, work, agent_id, report)
    await note_version(ctx, work, report.agent_version)
    _tell(ctx, work, merged, is_recent=is_recent, has_drifted=drifted)


async def _compare(ctx: Context, agent_id: int) -> bool:
    """Note since when the agent differs from its target; returns whether that is news."""
    states = await compared_states(ctx.tenant_id, [agent_id])
    wanted, reported = states[agent_id]
    if wanted is None or reported is None:
        return False
    since = diverged_since(wanted, reported)
    await note_comparison(ctx.tenant_id, agent_id, wanted.version, since)
    return since != reported.diverged_at


async def _keep_figures(ctx: Context, report: StateReport, at: datetime) -> None:
    processes = report.extra.get("top_processes")
    await append_agent_metrics(ctx.tenant_id, own_agent_id(ctx), report.metrics, processes, at)


def _tell(
    ctx: Context, work: Work, merged: Merged, *, is_recent: bool, has_drifted: bool = False
) -> None:
    agent_id, agent_uuid = ctx.caller.agent_id, ctx.caller.agent_uuid
    assert agent_id is not None
    assert agent_uuid is not None
    now = ctx.clock.now()
    arrived = is_recent and not merged.was_online
    if arrived:
        work.record(agent_entry(AuditType.DEVICE_ONLINE, agent_uuid))
    if merged.change is not None:
        before, after = merged.change
        changed = agent_entry(
            AuditType.DEVICE_STATE_CHANGED, agent_uuid, before=before, after=after
        )
        work.record(changed)
    is_due = _told.get(agent_id, now) is None
    if merged.has_changed or has_drifted or arrived or is_due:
        _told.put(agent_id, None, now, seconds=TOLD_SECONDS)
        event = AgentChanged(ctx.tenant_id, agent_uuid)
        work.emit(agents_topic(ctx.tenant_id), event)
