"""Keeps the bookkeeping of endpoints in step with target states and with what agents report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from core.context import Context
from core.events import AgentChanged, agents_topic
from core.sensor_rules import is_scan_target
from core.sensors import (
    KEPT,
    KEPT_BY_AGENT,
    EndpointStatus,
    Standing,
    entries_of,
    failure_of,
    is_leaving,
    judged,
)
from core.state_reports import StateReport
from models.agents import Agent
from models.endpoints import (
    Kept,
    Progress,
    entries_and_reported,
    forget_endpoints,
    progress_of,
    put_endpoints,
    put_standings,
    take_endpoints_out,
)
from models.unit_of_work import Work
from resolvers.broker_credentials import close_endpoint_account

_OPEN: Final = (EndpointStatus.PENDING, EndpointStatus.FAILED)


async def note_target(
    ctx: Context, work: Work, agent: Agent, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Take over that an agent's live configuration was changed; part of the caller's work."""
    old, new = entries_of(before), entries_of(after)
    if old == new:
        return
    now, by = ctx.clock.now(), ctx.caller.user_id
    keeps_all = all(is_scan_target(entry) for entry in new.values())
    error = KEPT_BY_AGENT if keeps_all else None
    await take_endpoints_out(ctx.tenant_id, agent.id, list(new), error, now, by)
    kept = [_kept(uuid, entry) for uuid, entry in new.items()]
    await put_endpoints(ctx.tenant_id, agent.id, kept, now, by)
    for uuid, entry in old.items():
        if has_account(entry) and not has_account(new.get(uuid, {})):
            await close_endpoint_account(ctx, work, agent, uuid)


async def note_report(ctx: Context, work: Work, agent_id: int, report: StateReport) -> None:
    """Take over what a live report tells of endpoints; part of the caller's work.

    Costs one statement, and reads no row, while the report has no configuration and nothing is on
    its way. It cannot be left out for reports that say nothing of endpoints: one more that lacks
    an endpoint is one more attempt that failed.
    """
    health = report.endpoints_health or {}
    shows_endpoints = report.config is not None and "endpoints" in report.config
    failing = [name for name, told in health.items() if failure_of(None, told) is not None]
    statuses = EndpointStatus if shows_endpoints else _OPEN
    progress = await progress_of(ctx.tenant_id, agent_id, statuses, failing)
    if not progress:
        return
    uuids = [each.uuid for each in progress]
    entries, config = await entries_and_reported(ctx.tenant_id, agent_id, uuids)
    if config is None or not isinstance(config.get("endpoints"), list):
        return
    moved, gone = _moves(progress, entries, config, health, report.version or 0)
    if moved:
        await put_standings(ctx.tenant_id, agent_id, moved, ctx.clock.now())
    if gone:
        await forget_endpoints(ctx.tenant_id, agent_id, gone)
    if (moved or gone) and ctx.caller.agent_uuid is not None:
        event = AgentChanged(ctx.tenant_id, ctx.caller.agent_uuid)
        work.emit(agents_topic(ctx.tenant_id), event)


def has_account(entry: Mapping[str, Any]) -> bool:
    """Whether an endpoint's sensors may have an account at the broker.

    Its topic is one of ours, and it is not only there because the agent keeps its last endpoint.
    """
    connection = entry.get("connection")
    topic = connection.get("topic") if isinstance(connection, Mapping) else None
    if entry.get("protocol") != "mqtt" or not isinstance(topic, str) or is_leaving(entry):
        return False
    levels = topic.split("/")
    return len(levels) == 6 and (levels[0], levels[2], levels[4]) == ("i", "a", "d")


def _kept(uuid: UUID, entry: dict[str, Any]) -> Kept:
    standing = Standing(EndpointStatus.PENDING)
    if is_leaving(entry):
        standing = Standing(EndpointStatus.PENDING_DELETION, error=KEPT)
    name, protocol = str(entry.get("name", ""))[:255], str(entry.get("protocol", ""))[:50]
    return Kept(uuid, name, protocol, standing, entry)


def _moves(
    progress: list[Progress],
    entries: dict[UUID, dict[str, Any]],
    config: dict[str, Any],
    health: Mapping[str, Mapping[str, Any]],
    version: int,
) -> tuple[list[tuple[UUID, Standing]], list[UUID]]:
    """Return the endpoints that stand elsewhere after a report, and those that are gone."""
    shown = entries_of(config, "id")
    moved: list[tuple[UUID, Standing]] = []
    gone: list[UUID] = []
    for each in progress:
        entry = entries[each.uuid]
        leaves = each.standing.status is EndpointStatus.PENDING_DELETION
        if leaves and not is_leaving(entry):
            gone += [] if each.uuid in shown else [each.uuid]
            continue
        standing = judged(
            each.standing,
            entry,
            shown.get(each.uuid),
            health.get(each.name),
            has_applied=version >= each.target_version,
        )
        if standing != each.standing:
            moved.append((each.uuid, standing))
    return moved, gone
