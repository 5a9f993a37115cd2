"""Current states: what agents report of themselves, and what people see of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, agent_entry
from core.context import Context
from core.endpoint_health import read_health
from core.errors import NotFound
from core.events import AgentChanged, agents_topic
from core.state_reports import StateReport, parse_state_report
from models.agent_metrics import append_agent_metrics
from models.agents import Agent
from models.current_states import CurrentState
from models.endpoint_health import HISTORY, put_health
from models.open_days import open_day
from models.state_merging import Merged, merge_metrics, merge_report
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.endpoint_sync import note_report
from resolvers.memories import Memory
from resolvers.own_agent import own_agent_id

TOLD_SECONDS: Final = 30
"""Figures that move all the time are announced at most this often per agent and process."""

_told: Memory[int, None] = Memory(entries_max=100_000)


@allow(Permission.AGENT_SELF)
async def report_state(ctx: Context, body: object, *, transport: Literal["mqtt", "http"]) -> None:
    """Merge a state report of the calling agent into what is known of it.

    What the report leaves out is unchanged. A report without `version` waited in the agent's
    queue: it fills what was never reported and touches nothing else. `transport` makes no
    difference; agents use either at any time. Raises InvalidInput for what is no report of this
    agent.
    """
    report, now = _parsed(ctx, body), ctx.clock.now()
    has_figures = bool(report.metrics) and not report.is_replay
    health = None if report.is_replay else report.endpoints_health
    if has_figures:
        await _open_day("agent_metric", now)
    if health:
        await _open_day(HISTORY, now)
    async with unit_of_work(ctx) as work:
        merged = await merge_report(ctx.tenant_id, own_agent_id(ctx), report, now)
        if has_figures:
            await _keep_figures(ctx, report, now)
        if health is not None:
            await put_health(ctx.tenant_id, own_agent_id(ctx), read_health(health), now)
        if not report.is_replay:
            await note_report(ctx, work, own_agent_id(ctx), report)
        _tell(ctx, work, merged, is_live=not report.is_replay)


@allow(Permission.AGENT_SELF)
async def report_metrics(ctx: Context, body: object) -> None:
    """Keep the gateway's own figures from a message that is no state report."""
    report, now = _parsed(ctx, body), ctx.clock.now()
    if report.metrics:
        await _open_day("agent_metric", now)
    async with unit_of_work(ctx) as work:
        merged = await merge_metrics(ctx.tenant_id, own_agent_id(ctx), report, now)
        if report.metrics:
            await _keep_figures(ctx, report, now)
        _tell(ctx, work, merged, is_live=True)


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


def _parsed(ctx: Context, body: object) -> StateReport:
    own_agent_id(ctx)
    assert ctx.caller.agent_uuid is not None
    return parse_state_report(body, ctx.caller.agent_uuid)


async def _open_day(table: str, now: datetime) -> None:
    with database_errors():
        await open_day(table, now)


async def _keep_figures(ctx: Context, report: StateReport, now: datetime) -> None:
    processes = report.extra.get("top_processes")
    await append_agent_metrics(ctx.tenant_id, own_agent_id(ctx), report.metrics, processes, now)


def _tell(ctx: Context, work: Work, merged: Merged | None, *, is_live: bool) -> None:
    agent_id, agent_uuid = ctx.caller.agent_id, ctx.caller.agent_uuid
    assert agent_id is not None
    assert agent_uuid is not None
    if merged is None:
        raise NotFound("agent", agent_uuid)
    now = ctx.clock.now()
    arrived = is_live and not merged.was_online
    if arrived:
        work.record(agent_entry(AuditType.DEVICE_ONLINE, agent_uuid))
    if merged.change is not None:
        before, after = merged.change
        changed = agent_entry(
            AuditType.DEVICE_STATE_CHANGED, agent_uuid, before=before, after=after
        )
        work.record(changed)
    is_due = is_live and _told.get(agent_id, now) is None
    if merged.has_changed or arrived or is_due:
        _told.put(agent_id, None, now, seconds=TOLD_SECONDS)
        event = AgentChanged(ctx.tenant_id, agent_uuid)
        work.emit(agents_topic(ctx.tenant_id), event)
