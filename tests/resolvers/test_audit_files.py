"""Exported chains: what an auditor can verify without the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest

from core.audit import AuditEntry, AuditType
from core.audit_chain import Signer
from core.audit_files import check_file
from core.audit_verification import ProblemKind
from core.callers import system_caller
from core.context import Context
from core.errors import InvalidInput
from models.audit import append_audit
from models.connection import fetch
from resolvers.audit import chain_audit, export_chain
from tests.doubles import ManualClock

HOURS = 4


@pytest.fixture
async def log(ctx: Context) -> Context:
    """Three events in each of some hours, chained within the hour; the clock is ahead of all."""
    clock = ManualClock()
    ctx = replace(ctx, clock=clock)
    for _ in range(HOURS):
        for at in range(3):
            entry = AuditEntry(AuditType.USER_UPDATED, f"user:{at}", user_id=ctx.ids.uuid())
            await append_audit(ctx, [entry])
        while await fetch(
            "select 1 from audit_event where tenant_id = $1 and position is null", ctx.tenant_id
        ):
            await chain_audit(ctx.acting_as(system_caller(0)))
        clock.advance(seconds=3_600)
    return ctx


async def exported(
    ctx: Context, since: datetime | None = None, until: datetime | None = None
) -> list[bytes]:
    lines = await export_chain(ctx.acting_as(system_caller(0)), ctx.tenant_id, since, until)
    return [line async for line in lines]


def positions(lines: list[bytes]) -> list[int]:
    members = [orjson.loads(line) for line in lines]
    return [each["position"] for each in members if each["kind"] == "row"]


async def test_a_whole_export_is_verified_by_the_public_key_alone(log: Context) -> None:
    lines = await exported(log)
    assert positions(lines) == list(range(1, 3 * HOURS + 1))
    check = check_file(lines, Signer(log.secrets).public_key)
    assert check.problems == []
    assert (check.rows, check.checkpoints, check.last_position) == (12, HOURS, 12)


async def test_a_part_begins_where_it_was_asked_to_and_ends_at_a_checkpoint(log: Context) -> None:
    rows = await fetch(
        "select position, created_at from audit_event where tenant_id = $1 order by position",
        log.tenant_id,
    )
    lines = await exported(log, rows[3]["created_at"], rows[6]["created_at"])
    assert positions(lines) == [4, 5, 6]
    assert check_file(lines, Signer(log.secrets).public_key).problems == []


async def test_an_export_of_a_time_without_events_is_empty_and_intact(log: Context) -> None:
    lines = await exported(log, log.clock.now())
    assert positions(lines) == []
    assert check_file(lines, Signer(log.secrets).public_key).problems == []


def _without(position: int) -> Callable[[dict[str, Any]], bool]:
    return lambda line: not (line["kind"] == "row" and line["position"] == position)


async def test_what_was_done_to_a_file_is_named(log: Context) -> None:
    lines = [orjson.loads(line) for line in await exported(log)]
    key = Signer(log.secrets).public_key

    def found(changed: list[dict[str, Any]], by: str = key) -> list[tuple[ProblemKind, int]]:
        check = check_file([orjson.dumps(line) for line in changed], by)
        return [(problem.kind, problem.first) for problem in check.problems]

    assert found([line for line in lines if _without(5)(line)]) == [(ProblemKind.ROWS_MISSING, 5)]
    altered = [
        line | {"subject": "user:other"} if not _without(5)(line) else line for line in lines
    ]
    assert found(altered) == [(ProblemKind.ROW_ALTERED, 5)]
    assert found(lines[:-1]) == [(ProblemKind.ROWS_UNSIGNED, 10)]
    cut = [line for line in lines if line["kind"] != "row" or line["position"] <= 11]
    assert found(cut) == [(ProblemKind.TAIL_CUT, 12)]
    start = [lines[0] | {"start_hash": "11" * 32}, *lines[1:]]
    assert found(start) == [(ProblemKind.ROW_ALTERED, 1)]
    other = Signer(type(log.secrets)("another secret of at least 32 bytes")).public_key
    assert len(found(lines, other)) == HOURS


@pytest.mark.parametrize("text", [b"", b"{}", b"no json", b'{"kind": "row"}', b'{"kind": "chain"}'])
async def test_what_is_no_export_is_refused(ctx: Context, text: bytes) -> None:
    with pytest.raises(InvalidInput):
        check_file([text], Signer(ctx.secrets).public_key)
    with pytest.raises(InvalidInput):
        check_file([text], "no key")
