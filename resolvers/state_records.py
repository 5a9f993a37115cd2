"""Which reports become history, and for how many of them an agent's day has room."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final

from core.context import Context
from core.state_reports import StateReport
from models import state_history
from models.state_merging import Merged
from models.unit_of_work import Work
from resolvers.memories import Memory
from resolvers.own_agent import own_agent_id

_log = logging.getLogger(__name__)

RECORDS_PER_DAY: Final = 5_000
BYTES_PER_DAY: Final = 50 * 1024 * 1024
"""Of one agent, live reports and replays together; what goes beyond is merged and not recorded."""

_COUNTED_SECONDS: Final = 3_600  # then counted anew: other processes write records, too
_OWED_SECONDS: Final = 3_600
_WARNED_SECONDS: Final = 3_600


@dataclass(slots=True)
class _Spent:
    records: int
    size_bytes: int


_spent: Memory[tuple[int, date], _Spent] = Memory(entries_max=100_000)
_recent: Memory[int, None] = Memory(entries_max=100_000)
_owed: Memory[int, None] = Memory(entries_max=100_000)
_warned: Memory[int, None] = Memory(entries_max=10_000)


async def keep_replay(ctx: Context, _work: Work, report: StateReport, at: datetime) -> None:
    """Keep a replay, while its agent's day has room. A step of work that holds the agent's row."""
    await _put(ctx, report, at)


async def keep_live(
    ctx: Context, _work: Work, report: StateReport, merged: Merged, at: datetime
) -> None:
    """Keep a live report that came late or changed something, or followed one that did.

    A change too soon after the last record is owed: the next report that is not too soon makes a
    record that shows it.
    """
    agent_id = own_agent_id(ctx)
    if merged.is_late:
        await _put(ctx, report, at)
        return
    is_owed = _owed.get(agent_id, at) is not None
    if not (merged.is_notable or is_owed):
        return
    if _recent.get(agent_id, at) is None:
        if is_owed:
            whole = await state_history.whole_state(ctx.tenant_id, agent_id)
            report = replace(report, body=whole | report.body)
        if await _put(ctx, report, at):
            _recent.put(agent_id, None, at, seconds=state_history.LIVE_EVERY.total_seconds())
            _owed.forget(agent_id)
            return
    _owed.put(agent_id, None, at, seconds=_OWED_SECONDS)


async def _put(ctx: Context, report: StateReport, at: datetime) -> bool:
    """Return whether nothing is owed: there is a record, or no room for one."""
    agent_id = own_agent_id(ctx)
    spent = await _spent_on(ctx, agent_id, at)
    if spent.records >= RECORDS_PER_DAY or spent.size_bytes >= BYTES_PER_DAY:
        _warn(ctx, agent_id)
        return True
    size_bytes = await state_history.put_state(ctx.tenant_id, agent_id, report, at)
    spent.records += size_bytes > 0
    spent.size_bytes += size_bytes
    return size_bytes > 0


async def _spent_on(ctx: Context, agent_id: int, at: datetime) -> _Spent:
    now, day = ctx.clock.now(), at.astimezone(UTC).date()
    found = _spent.get((agent_id, day), now)
    if found is not None:
        return found[0]
    midnight = datetime.combine(day, time(), UTC)
    spent = _Spent(*await state_history.kept_on(ctx.tenant_id, agent_id, midnight))
    _spent.put((agent_id, day), spent, now, seconds=_COUNTED_SECONDS)
    return spent


def _warn(ctx: Context, agent_id: int) -> None:
    now = ctx.clock.now()
    if _warned.get(agent_id, now) is None:
        _warned.put(agent_id, None, now, seconds=_WARNED_SECONDS)
        _log.warning("agent %s has no room for more state history today", ctx.caller.agent_uuid)
