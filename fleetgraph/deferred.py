"""State reports that came while the database was away: kept on disk, done when it is back.

An agent that meets two errors in a row goes silent, so its report is accepted instead of
refused. What was accepted must not be lost: it is on the disk before the answer goes out.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from core.clock import Clock
from core.context import Context
from core.errors import AppError, Unavailable
from core.ids import secret_hash
from fleetgraph.credentials import DEVICE_KEY_HEADER
from resolvers.current_states import report_state
from resolvers.device_callers import DEVICE_KEY_PURPOSE, caller_from_key_digest
from rest_compat.bodies import parse_json
from rest_compat.calls import Deferred

_log = logging.getLogger(__name__)

SPOOL_BYTES_MAX = 64 * 1024 * 1024
PERIOD_SECONDS = 2.0


class _Report(msgspec.Struct):
    """One report and when it came (None: kept by an older program). No device key, its digest."""

    key_digest: bytes
    body: bytes
    came_at: datetime | None = None


class DeferredReports:
    """A spool in the data folder, one per API process."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._file = folder / "reports.ndjson"
        self._working = folder / "reports.working.ndjson"
        self._lock = asyncio.Lock()

    async def take(self, deferred: Deferred) -> bool:
        """Keep a report; False when it carries no device key or the spool is full."""
        key = device_key(deferred.headers)
        if key is None:
            return False
        digest = secret_hash(DEVICE_KEY_PURPOSE, key)
        report = _Report(digest, deferred.body, self._clock.now())
        line = msgspec.json.encode(report) + b"\n"
        async with self._lock:
            return await asyncio.to_thread(self._append, line)

    async def step(self, ctx: Context) -> None:
        """Do what is in the spool, in order; stops at once when the database is away again."""
        async with self._lock:
            lines = await asyncio.to_thread(self._take_over)
        done = 0
        try:
            for line in lines:
                await self._do(ctx, line)
                done += 1
        except Unavailable:
            _log.info("the database is still away; %d deferred reports wait", len(lines) - done)
        finally:
            if lines:
                await asyncio.to_thread(self._keep, lines[done:])
        if done:
            _log.info("did %d deferred state reports", done)

    async def _do(self, ctx: Context, line: bytes) -> None:
        try:
            report = msgspec.json.decode(line, type=_Report)
            caller = await caller_from_key_digest(ctx, report.key_digest)
            own = ctx.acting_as(caller)
            body = parse_json(report.body)
            await report_state(own, body, transport="http", came_at=report.came_at)
        except Unavailable:
            raise
        except (AppError, msgspec.DecodeError) as error:
            _log.warning("a deferred state report was refused: %s", error)
        except Exception:
            # One report that nobody foresaw must not hold up all that came after it.
            _log.exception("a deferred state report failed and was set aside")
            await asyncio.to_thread(self._set_aside, line)

    def _set_aside(self, line: bytes) -> None:
        with (self._folder / "reports.refused.ndjson").open("ab") as file:
            file.write(line + b"\n")

    def _append(self, line: bytes) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = sum(f.stat().st_size for f in (self._file, self._working) if f.exists())
        if size + len(line) > SPOOL_BYTES_MAX:
            _log.warning("the spool of deferred reports is full")
            return False
        with self._file.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return True

    def _take_over(self) -> list[bytes]:
        """Move what was spooled behind what was left over, and return all of it."""
        if self._file.exists():
            with self._working.open("ab") as working:
                working.write(self._file.read_bytes())
                working.flush()
                os.fsync(working.fileno())
            self._file.unlink()
        if not self._working.exists():
            return []
        # A line cut short by a crash was never acknowledged.
        return [line for line in self._working.read_bytes().split(b"\n") if line]

    def _keep(self, rest: list[bytes]) -> None:
        if not rest:
            self._working.unlink(missing_ok=True)
            return
        temporary = self._working.with_suffix(".new")
        temporary.write_bytes(b"\n".join(rest) + b"\n")
        temporary.replace(self._working)


def device_key(headers: Mapping[str, str]) -> str | None:
    """Return the device key in a request's headers, in either form."""
    key = headers.get(DEVICE_KEY_HEADER)
    if key:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
