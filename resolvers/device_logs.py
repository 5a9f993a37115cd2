"""Logs that agents upload, line by line, each batch once; and what people read of them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.clock import micros
from core.context import Context
from core.errors import InvalidInput, PayloadTooLarge, Unavailable
from core.logs import NAME_CHARS_MAX, LogLine, level_of, parse_log_lines
from core.paging import OpenSlice
from models.agents import Agent
from models.device_logs import (
    LogFilter,
    LogRow,
    StoredLine,
    append_log_batch,
    meta_json,
    open_log_days,
    page_of_logs,
    services_of_logs,
)
from models.unit_of_work import database_errors, unit_of_work
from resolvers.agents import mark_seen
from resolvers.own_agent import own_agent_id

__all__ = ["LogFilter", "StoredLine"]

NO_BATCH_ID: Final = "auto-generated"
BATCH_ID_CHARS_MAX: Final = 200
LINES_MAX: Final = 1_000
OFFSET_MAX: Final = 100_000
LEVELS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class LogReceipt:
    """What an upload came to. `batch_id` is the sender's own: it resends for any other."""

    batch_id: str
    accepted: bool
    duplicate: bool
    received: int
    skipped: int


@allow(Permission.AGENT_SELF)
async def upload_logs(
    ctx: Context, agent_uuid: UUID, batch_id: str | None, body: bytes
) -> LogReceipt:
    """Store an uncompressed upload of JSON lines; a batch id that was seen changes nothing.

    A superseded device key is good enough: after a re-provisioning the running agent goes on
    with its old key until it restarts. Unreadable lines are skipped and counted, because an
    agent would send a refused batch again. Raises PayloadTooLarge.
    """
    agent_id = own_agent_id(ctx, agent_uuid, superseded_key=True)
    limit = ctx.policy.device_logs_bytes_max
    if len(body) > limit:
        raise PayloadTooLarge("The log batch", limit_bytes=limit)
    now = ctx.clock.now()
    parsed = parse_log_lines(body, micros(now))
    rows = [_row(ctx, agent_id, line, now) for line in parsed.lines]
    with database_errors():
        await open_log_days([row[2] for row in rows])
    async with unit_of_work(ctx):
        is_new = await append_log_batch(ctx.tenant_id, agent_id, _key(batch_id), rows, now)
    with suppress(Unavailable):  # the lines are stored, and that is what the agent asks about
        await mark_seen(ctx, [agent_id])
    return LogReceipt(
        batch_id=batch_id or NO_BATCH_ID,
        accepted=True,
        duplicate=not is_new,
        received=len(rows) if is_new else 0,
        skipped=parsed.skipped if is_new else 0,
    )


@allow(Permission.DEVICE_READ)
async def list_agent_logs(
    ctx: Context,
    agent_uuid: UUID,
    wanted: LogFilter,
    first: int,
    after: str | None = None,
    offset: int = 0,
) -> OpenSlice[StoredLine]:
    """Return an agent's lines, newest first; `offset` skips some behind `after`.

    Raises NotFound, and InvalidInput for what is out of bounds.
    """
    if not 1 <= first <= LINES_MAX:
        raise InvalidInput("first", f"must be between 1 and {LINES_MAX}", limit=LINES_MAX)
    if not 0 <= offset <= OFFSET_MAX:
        raise InvalidInput("offset", f"must be between 0 and {OFFSET_MAX}", limit=OFFSET_MAX)
    wanted = _checked(wanted)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_logs(agent, wanted, first, after, offset)


@allow(Permission.DEVICE_READ)
async def list_log_services(ctx: Context, agent_uuid: UUID) -> list[str]:
    """Return the names of services that an agent has lines of, in order. Raises NotFound."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await services_of_logs(ctx.tenant_id, agent.id)


def _checked(wanted: LogFilter) -> LogFilter:
    """Return the filter with levels as they are stored."""
    service, levels = wanted.service, wanted.levels
    if service is not None and (len(service) > NAME_CHARS_MAX or "\x00" in service):
        reason = f"must have at most {NAME_CHARS_MAX} characters and no NUL"
        raise InvalidInput("service", reason, limit=NAME_CHARS_MAX)
    if levels is not None and (len(levels) > LEVELS_MAX or any("\x00" in each for each in levels)):
        reason = f"must be at most {LEVELS_MAX} words without NUL"
        raise InvalidInput("levels", reason, limit=LEVELS_MAX)
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise InvalidInput("from", "must be before `to`")
    return replace(wanted, levels=None if levels is None else sorted(set(map(level_of, levels))))


def _key(batch_id: str | None) -> str | None:
    """Return the id as it is stored; one that does not fit stands as its digest."""
    if not batch_id:
        return None
    if len(batch_id) <= BATCH_ID_CHARS_MAX and "\x00" not in batch_id:
        return batch_id
    return f"sha256:{hashlib.sha256(batch_id.encode(errors='replace')).hexdigest()}"


def _row(ctx: Context, agent_id: int, line: LogLine, now: datetime) -> LogRow:
    return (
        ctx.tenant_id,
        agent_id,
        _moment(ctx, line.time_us, now),
        line.level,
        line.service,
        line.message,
        line.is_system,
        line.is_stderr,
        meta_json(line.meta),
        now,
    )


def _moment(ctx: Context, time_us: int, now: datetime) -> datetime:
    """Return the line's time, or the upload's when the agent's clock cannot be right."""
    earliest = now - timedelta(days=ctx.policy.clock_past_days_max)
    latest = now + timedelta(hours=ctx.policy.clock_future_hours_max)
    if micros(earliest) <= time_us <= micros(latest):
        return _EPOCH + timedelta(microseconds=time_us)
    return now


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
