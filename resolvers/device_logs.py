"""Logs that agents upload, line by line, each batch once."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.clock import micros
from core.context import Context
from core.errors import PayloadTooLarge, Unavailable
from core.logs import LogLine, parse_log_lines
from models.device_logs import LogRow, append_log_batch, meta_json, open_log_days
from models.unit_of_work import database_errors, unit_of_work
from resolvers.agents import mark_seen
from resolvers.own_agent import own_agent_id

NO_BATCH_ID: Final = "auto-generated"
BATCH_ID_CHARS_MAX: Final = 200


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
