"""Chains of the audit log, for tests: made, asked about, tampered with."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from core.audit import AuditEntry, AuditType
from core.audit_verification import ChainCheck, ProblemKind
from core.callers import system_caller
from core.context import Context
from models.audit import append_audit
from models.connection import fetch
from resolvers.audit import chain_audit, verify_audit
from tests.doubles import ManualClock


def program(ctx: Context) -> Context:
    return ctx.acting_as(system_caller(0))


async def write(ctx: Context, number: int, **details: object) -> None:
    entries = [
        AuditEntry(AuditType.USER_UPDATED, f"user:{at}", details={"at": at, **details})
        for at in range(number)
    ]
    await append_audit(ctx, entries)


async def chain(ctx: Context) -> None:
    """Chain all there is; a batch takes those of every tenant."""
    async with asyncio.timeout(10):
        while await pending(ctx):
            await chain_audit(program(ctx))


async def pending(ctx: Context) -> int:
    found = await fetch(
        "select count(*) as n from audit_event where tenant_id = $1 and position is null",
        ctx.tenant_id,
    )
    return int(found[0]["n"])


async def check(ctx: Context) -> ChainCheck:
    return (await verify_audit(ctx)).check


async def problems(ctx: Context) -> list[tuple[ProblemKind, int, int]]:
    return [(found.kind, found.first, found.last) for found in (await check(ctx)).problems]


async def change(ctx: Context, text: str, *values: object) -> None:
    """Run what somebody with a hold of the database might; {t} is the tenant."""
    await fetch(text.replace("{t}", str(ctx.tenant_id)), *values)


async def checkpoints(ctx: Context) -> list[dict[str, Any]]:
    return await fetch(
        "select * from audit_checkpoint where tenant_id = $1 order by position", ctx.tenant_id
    )


async def eight_rows(ctx: Context) -> Context:
    """Return the context with a clock, and eight rows chained in two batches an hour apart."""
    clock = ManualClock()
    ctx = replace(ctx, clock=clock)
    await write(ctx, 5)
    await chain(ctx)
    clock.advance(seconds=3_600)
    await write(ctx, 3)
    await chain(ctx)
    return ctx
