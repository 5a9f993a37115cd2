"""The worker that chains the audit log: its log lines, and what it removes."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from core.audit import AuditEntry, AuditType
from core.callers import system_caller
from core.context import Context
from core.policy import Policy
from models.audit import append_audit
from models.connection import fetch
from resolvers.audit import verify_audit
from tests.doubles import ManualClock
from workers.audit_chain import TRIM_PERIOD, AuditChain


@pytest.mark.slow
async def test_a_step_chains_all_there_is_and_logs_each_checkpoint(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    worker = AuditChain(ctx.acting_as(system_caller(0)))
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED)] * 700)  # more than a batch
    with caplog.at_level(logging.INFO):
        await worker.step()
    head = await fetch(
        "select position, chain_hash from audit_checkpoint where tenant_id = $1"
        " order by position desc limit 1",
        ctx.tenant_id,
    )
    assert head[0]["position"] == 700
    line = f"audit checkpoint: tenant {ctx.tenant_id}, position 700, hash {head[0]['chain_hash'].hex()}"
    assert line in caplog.messages
    assert (await verify_audit(ctx)).check.rows == 700


@pytest.mark.slow
async def test_events_end_with_their_time_and_the_log_stays_intact(ctx: Context) -> None:
    clock = ManualClock()
    ctx = replace(ctx, clock=clock, policy=Policy(audit_days=30))
    worker = AuditChain(ctx.acting_as(system_caller(0)))
    await append_audit(ctx, [AuditEntry(AuditType.USER_CREATED)])
    await worker.step()
    clock.advance(seconds=timedelta(days=31).total_seconds())
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED)])
    await worker.step()
    clock.advance(seconds=TRIM_PERIOD.total_seconds())
    await worker.step()
    rows = await fetch("select event_type from audit_event where tenant_id = $1", ctx.tenant_id)
    assert [row["event_type"] for row in rows] == ["user_updated"]
    found = await verify_audit(ctx)
    assert found.is_intact
    assert found.check.start == 1
