"""What people read of agents' logs: pages, searches, counts, and what agents had to drop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.errors import InvalidInput, TookTooLong
from core.logs import LEVELS, NAME_CHARS_MAX, level_of
from core.paging import OpenSlice, page_size
from core.selectors import Selector
from models.agent_lists import AgentFilter
from models.agents import Agent
from models.database import COMMAND_SECONDS_MAX
from models.device_logs import (
    LogPlace,
    LogScope,
    StoredLine,
    count_lines,
    page_of_logs,
    scope_of_logs,
    services_of_logs,
)
from models.log_conditions import LogFilter
from models.log_drops import LogDrop, page_of_log_drops, sum_of_log_drops
from models.unit_of_work import database_errors

__all__ = ["LogDrop", "LogFilter", "LogPlace", "StoredLine"]

LINES_MAX: Final = 1_000
OFFSET_MAX: Final = 100_000
LEVELS_MAX: Final = 20
SERVICES_MAX: Final = 100
AGENTS_MAX: Final = 1_000
TEXT_CHARS_MAX: Final = 500
_IDS_END: Final = 2**63


@dataclass(frozen=True, slots=True)
class AgentsOfLogs:
    """Whose logs: agents that meet all that is given; nothing means all."""

    uuids: Sequence[UUID] | None = None
    fleet_id: UUID | None = None
    selector: Selector | None = None


@dataclass(frozen=True, slots=True)
class LogPage(OpenSlice[StoredLine]):
    """A page of lines, and what it is a page of.

    `newer` is `before` for what is newer than the page: of its first line, or what was asked.
    """

    scope: LogScope
    wanted: LogFilter
    newer: str | None


@allow(Permission.DEVICE_READ)
async def list_agent_logs(
    ctx: Context,
    agent_uuid: UUID,
    wanted: LogFilter,
    first: int,
    after: str | None = None,
    offset: int = 0,
    *,
    before: str | None = None,
) -> LogPage:
    """Return an agent's lines, newest first; `offset` skips some behind `after`.

    With `before`, those that are newer, as near to it as there are. Raises NotFound, and
    InvalidInput for what is out of bounds.
    """
    place = _checked_place(LogPlace(first, after, before, offset))
    wanted = checked_log_filter(wanted)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
    return await _page(LogScope(ctx.tenant_id, {agent.id: agent.uuid}), wanted, place)


@allow(Permission.DEVICE_READ)
async def search_logs(
    ctx: Context, agents: AgentsOfLogs, wanted: LogFilter, place: LogPlace
) -> LogPage:
    """Return lines of many agents together, newest first. Raises InvalidInput."""
    place = _checked_place(place)
    wanted = checked_log_filter(wanted)
    if agents.uuids is not None and len(agents.uuids) > AGENTS_MAX:
        reason = f"must have at most {AGENTS_MAX} items"
        raise InvalidInput("filter.agentUuids", reason, limit=AGENTS_MAX)
    picked = AgentFilter(fleet_id=agents.fleet_id, selector=agents.selector)
    with database_errors():
        scope = await scope_of_logs(ctx.tenant_id, picked, agents.uuids)
    return await _page(scope, wanted, place)


@allow(Permission.DEVICE_READ)
async def count_logs(ctx: Context, page: LogPage) -> int | None:
    """Return how many lines a list has in all; None when there are more than 10,000."""
    async with _searching():
        return await count_lines(replace(page.scope, tenant_id=ctx.tenant_id), page.wanted)


@allow(Permission.DEVICE_READ)
async def count_dropped_logs(ctx: Context, page: LogPage) -> int:
    """Return how many lines the agents of a list told in its time that they had dropped."""
    since, until = page.wanted.since, page.wanted.until
    with database_errors():
        return await sum_of_log_drops(ctx.tenant_id, list(page.scope.agents), since, until)


@allow(Permission.DEVICE_READ)
async def list_log_services(ctx: Context, agent_uuid: UUID) -> list[str]:
    """Return the names of services that an agent has lines of, in order. Raises NotFound."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await services_of_logs(ctx.tenant_id, agent.id)


@allow(Permission.DEVICE_READ)
async def list_log_drops(
    ctx: Context, agent_uuid: UUID, first: int, after: str | None = None
) -> OpenSlice[LogDrop]:
    """Return what an agent told of lines that it dropped, newest first. Raises NotFound."""
    first = page_size(first)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_log_drops(agent, first, after)


def checked_log_filter(wanted: LogFilter) -> LogFilter:
    """Return the filter with levels as they are stored; raises InvalidInput."""
    if wanted.service is not None:
        _check_words("service", [wanted.service], 1, NAME_CHARS_MAX)
    _check_words("services", wanted.services or (), SERVICES_MAX, NAME_CHARS_MAX)
    _check_words("levels", wanted.levels or (), LEVELS_MAX, NAME_CHARS_MAX)
    _check_words("q", [wanted.text or ""], 1, TEXT_CHARS_MAX)
    levels = None if wanted.levels is None else sorted(set(map(level_of, wanted.levels)))
    lowest = None if wanted.min_level is None else level_of(wanted.min_level)
    if lowest is not None and lowest not in LEVELS:
        raise InvalidInput("minLevel", f"must be one of {', '.join(LEVELS)}")
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise InvalidInput("from", "must be before `to`")
    if wanted.since_id is not None and not 0 <= wanted.since_id < _IDS_END:
        raise InvalidInput("sinceId", "is not the id of a line")
    return replace(wanted, levels=levels, min_level=lowest)


def _check_words(field: str, words: Sequence[str], count_max: int, chars_max: int) -> None:
    if len(words) > count_max:
        raise InvalidInput(field, f"must be at most {count_max} words", limit=count_max)
    if any(len(word) > chars_max or "\x00" in word for word in words):
        reason = f"must have at most {chars_max} characters and no NUL"
        raise InvalidInput(field, reason, limit=chars_max)


def _checked_place(place: LogPlace) -> LogPlace:
    if not 1 <= place.first <= LINES_MAX:
        raise InvalidInput("first", f"must be between 1 and {LINES_MAX}", limit=LINES_MAX)
    if not 0 <= place.offset <= OFFSET_MAX:
        raise InvalidInput("offset", f"must be between 0 and {OFFSET_MAX}", limit=OFFSET_MAX)
    if place.after is not None and place.before is not None:
        raise InvalidInput("before", "does not go with `after`")
    return place


async def _page(scope: LogScope, wanted: LogFilter, place: LogPlace) -> LogPage:
    async with _searching():
        found = await page_of_logs(scope, wanted, place)
    newer = found.cursors[0] if found.cursors else place.before
    return LogPage(found.items, found.cursors, found.has_next, scope, wanted, newer)


@asynccontextmanager
async def _searching() -> AsyncIterator[None]:
    """Tell a search that the database did not end in time from a database that is away."""
    with database_errors():
        try:
            yield
        except TimeoutError:
            what = "Searching so many lines; a shorter time, an agent or another word helps. It"
            raise TookTooLong(what, limit_seconds=COMMAND_SECONDS_MAX) from None
