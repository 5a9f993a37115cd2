"""Logs that agents upload, line by line, each batch once; and what they had to drop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.access import Permission, allow
from core.clock import micros, moment_of
from core.context import Context
from core.errors import NotFound, PayloadTooLarge, Unavailable
from core.events import LogsArrived, logs_topic
from core.logs import LogLine, ParsedLogs, parse_log_lines, time_in
from core.metrics import LOG_BATCHES, LOG_LINES, LOG_RETRIES
from core.payloads import Undecodable, storable
from core.telemetry_times import Times
from models.device_logs import meta_json
from models.log_batches import (
    LogRow,
    StoredBatch,
    append_log_batch,
    keep_agent,
    open_log_days,
    purge_log_batches,
)
from models.log_drops import LogDropped, append_log_drops, purge_log_drops
from models.unit_of_work import database_errors, unit_of_work
from resolvers.agents import mark_seen
from resolvers.own_agent import own_agent_id

_log = logging.getLogger(__name__)

NO_BATCH_ID: Final = "auto-generated"
BATCH_ID_CHARS_MAX: Final = 200
BATCHES_KEPT: Final = timedelta(days=7)
"""How long a batch is known again; an agent gives up after about half an hour."""

PURGE_ROWS: Final = 10_000
SUMMARIES_MAX: Final = 200
SUMMARY_BYTES_MAX: Final = 16 * 1024
COUNT_MAX: Final = 2**53
_THREAD_FROM_BYTES: Final = 64 * 1024
_threads: Final = ThreadPoolExecutor(2, thread_name_prefix="logs")
"""Of their own: large uploads wait for each other, and nothing else waits for them."""


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
    ctx: Context, agent_uuid: UUID, batch_id: str | None, body: bytes, attempt: int | None = None
) -> LogReceipt:
    """Store an uncompressed upload of JSON lines, unless the same came under the same batch id.

    Another content under an id that is known is another batch: an agent whose counter began anew
    loses nothing. Without an id the same lines with the same times are a repeat. A superseded
    device key is good enough: after a re-provisioning the running agent goes on with its old key
    until it restarts. Unreadable lines are skipped and counted, because an agent would send a
    refused batch again. Raises PayloadTooLarge, and NotFound when the agent is deleted meanwhile.
    """
    agent_id = own_agent_id(ctx, agent_uuid, superseded_key=True)
    limit = ctx.policy.device_logs_bytes_max
    if len(body) > limit:
        raise PayloadTooLarge("The log batch", limit_bytes=limit)
    if (attempt or 1) > 1:
        LOG_RETRIES.inc()
        _log.info("agent %s sends log batch %.100r, attempt %s", agent_uuid, batch_id, attempt)
    now = ctx.clock.now()
    if len(body) < _THREAD_FROM_BYTES:
        parsed, rows, digest = _read(ctx, body, now)
    else:
        loop = asyncio.get_running_loop()
        parsed, rows, digest = await loop.run_in_executor(_threads, _read, ctx, body, now)
    known_by = digest if batch_id or (rows and parsed.are_timed) else None
    with database_errors():
        await open_log_days([row[0] for row in rows], now)
    async with unit_of_work(ctx) as work:
        stored = await append_log_batch(
            ctx.tenant_id, agent_id, _key(batch_id), known_by, rows, now
        )
        await _require_agent(ctx, agent_uuid)
        if stored.is_new and stored.first_id is not None and stored.last_id is not None:
            told = LogsArrived(ctx.tenant_id, agent_uuid, stored.first_id, stored.last_id)
            work.emit(logs_topic(ctx.tenant_id), told)
    _count(stored, parsed)
    with suppress(Unavailable):  # the lines are stored, and that is what the agent asks about
        await mark_seen(ctx, [agent_id])
    return LogReceipt(
        batch_id=batch_id or NO_BATCH_ID,
        accepted=True,
        duplicate=not stored.is_new,
        received=stored.line_count,
        skipped=parsed.skipped,
    )


@allow(Permission.AGENT_SELF)
async def report_log_drops(
    ctx: Context, agent_uuid: UUID, summaries: Sequence[object], reported_at: object = None
) -> int:
    """Keep what an agent tells of lines it had to drop; returns how many summaries could be read.

    A report that comes again changes nothing; one without a time never is a repeat. Of a summary
    that is too long its count is kept.
    """
    agent_id = own_agent_id(ctx, agent_uuid, superseded_key=True)
    now = ctx.clock.now()
    time_us = time_in(reported_at, Times({None: micros(now)}))
    told_at = None if time_us is None else moment_of(time_us)
    objects = [each for each in summaries[:SUMMARIES_MAX] if isinstance(each, dict)]
    drops = [_dropped(each, at, told_at) for at, each in enumerate(objects)]
    async with unit_of_work(ctx):
        await append_log_drops(ctx.tenant_id, agent_id, drops, told_at, now)
        await _require_agent(ctx, agent_uuid)
    return len(drops)


@allow(Permission.SYSTEM)
async def purge_logs(ctx: Context) -> int:
    """Forget batches of a week ago, and drop summaries as old as lines may be; some at a time.

    Returns how many of both.
    """
    now = ctx.clock.now()
    total = 0
    for purge, before in (
        (purge_log_batches, now - BATCHES_KEPT),
        (purge_log_drops, now - timedelta(days=ctx.policy.logs_days)),
    ):
        count = PURGE_ROWS
        while count == PURGE_ROWS:
            with database_errors():
                count = await purge(before, PURGE_ROWS)
            total += count
    return total


async def _require_agent(ctx: Context, agent_uuid: UUID) -> None:
    """Make sure that what was written is of an agent that is there, and stays until the commit.

    Last of all, so that the agent's reports do not wait while lines are written. Raises NotFound.
    """
    if not await keep_agent(ctx.tenant_id, own_agent_id(ctx, superseded_key=True)):
        raise NotFound("agent", agent_uuid)


def _read(ctx: Context, body: bytes, now: datetime) -> tuple[ParsedLogs, list[LogRow], bytes]:
    parsed = parse_log_lines(body, micros(now))
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return parsed, [_row(ctx, line, now) for line in parsed.lines], digest


def _count(stored: StoredBatch, parsed: ParsedLogs) -> None:
    LOG_BATCHES.labels("stored" if stored.is_new else "duplicate").inc()
    if stored.is_new:
        LOG_LINES.labels("stored").inc(stored.line_count)
        LOG_LINES.labels("skipped").inc(parsed.skipped)


def _key(batch_id: str | None) -> str:
    """Return the id as it is stored; one that does not fit stands as its digest."""
    if not batch_id:
        return ""
    if len(batch_id) <= BATCH_ID_CHARS_MAX and "\x00" not in batch_id and _is_whole(batch_id):
        return batch_id
    encoded = batch_id.encode(errors="surrogatepass")
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def _is_whole(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row(ctx: Context, line: LogLine, now: datetime) -> LogRow:
    return (
        _moment(ctx, line.time_us, now),
        line.level,
        line.service,
        line.message,
        line.is_system,
        line.is_stderr,
        meta_json(line.meta),
    )


def _moment(ctx: Context, time_us: int, now: datetime) -> datetime:
    """Return the line's time, or the upload's when the agent's clock cannot be right.

    Nor may it be so old that the line would be dropped at once.
    """
    policy = ctx.policy
    earliest = now - timedelta(days=min(policy.clock_past_days_max, policy.logs_days))
    latest = now + timedelta(hours=policy.clock_future_hours_max)
    if micros(earliest) <= time_us <= micros(latest):
        return moment_of(time_us)
    return now


def _dropped(summary: dict[str, Any], at: int, reported_at: datetime | None) -> LogDropped:
    try:
        text = meta_json(storable(summary))
    except Undecodable:
        text = "{}"
    digest = None
    if reported_at is not None:
        told = f"{at} {reported_at.isoformat()} {text}"
        digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
    count = summary.get("totalCount")
    is_count = isinstance(count, int | float) and not isinstance(count, bool)
    return LogDropped(
        total_count=int(count) if is_count and 0 <= count <= COUNT_MAX else 0,  # type: ignore[arg-type,operator]  # as checked
        summary=text if len(text) <= SUMMARY_BYTES_MAX else "{}",
        digest=digest,
    )
