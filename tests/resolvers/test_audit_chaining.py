"""How the audit log is chained and trimmed, while all is moving and when something fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from core.audit import AuditEntry, AuditType
from core.audit_chain import Signer
from core.audit_verification import ProblemKind
from core.context import Context
from models.connection import fetch
from models.unit_of_work import unit_of_work
from resolvers.audit import chain_audit, trim_audit
from tests.doubles import ManualClock
from tests.resolvers.chains import (
    chain,
    change,
    check,
    checkpoints,
    eight_rows,
    pending,
    problems,
    program,
    write,
)

pytestmark = pytest.mark.slow


@pytest.fixture
async def chained(ctx: Context) -> Context:
    return await eight_rows(ctx)


async def test_retention_removes_whole_signed_prefixes_and_the_rest_stays_intact(
    chained: Context,
) -> None:
    now = chained.clock.now()
    await trim_audit(program(chained), now - timedelta(minutes=30))
    left = await fetch(
        "select min(position) as first from audit_event where tenant_id = $1", chained.tenant_id
    )
    assert left[0]["first"] == 6
    assert [row["trimmed_at"] for row in await checkpoints(chained)] == [now, None]
    found = await check(chained)
    assert (found.problems, found.start, found.rows) == ([], 5, 3)

    await change(
        chained, "update audit_event set subject = 'x' where tenant_id = {t} and position = 6"
    )
    assert await problems(chained) == [(ProblemKind.ROW_ALTERED, 6, 6)]


async def test_a_start_that_retention_did_not_make_is_named(chained: Context) -> None:
    await change(chained, "delete from audit_event where tenant_id = {t} and position <= 5")
    await change(
        chained,
        "update audit_checkpoint set trimmed_at = now() where tenant_id = {t} and position = 5",
    )
    assert await problems(chained) == [(ProblemKind.CHECKPOINT_FORGED, 5, 5)]


async def test_retention_keeps_rows_without_a_checkpoint_behind_them(chained: Context) -> None:
    await write(chained, 2)
    chained.clock.advance(seconds=10 * 86_400)  # type: ignore[attr-defined]
    await trim_audit(program(chained), chained.clock.now() - timedelta(days=1))
    assert await pending(chained) == 2
    await chain(chained)
    found = await check(chained)
    assert (found.problems, found.start, found.rows) == ([], 8, 2)


async def test_checkpoints_are_thinned_but_the_last_of_each_thousand_rows_and_hour_stays(
    ctx: Context,
) -> None:
    clock = ManualClock()
    ctx = replace(ctx, clock=clock)
    for number in (400, 400, 400, 10):
        await write(ctx, number)
        await chain(ctx)
    clock.advance(seconds=3_600)
    await write(ctx, 10)
    await chain(ctx)
    assert [row["position"] for row in await checkpoints(ctx)] == [800, 1_210, 1_220]
    assert await problems(ctx) == []


async def test_rows_of_another_servers_transactions_are_chained_too(ctx: Context) -> None:
    await write(ctx, 1)
    await change(ctx, "update audit_event set xid = 1000000000000 where tenant_id = {t}")
    await chain(ctx)
    assert await problems(ctx) == []


async def test_rows_are_chained_in_the_order_of_their_transactions_once_those_are_over(
    ctx: Context,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with unit_of_work(ctx) as work:
            await fetch("select pg_current_xact_id()")
            begun.set()
            await go_on.wait()
            work.record(AuditEntry(AuditType.USER_CREATED))

    task = asyncio.create_task(slow())
    await begun.wait()
    await write(ctx, 1)
    await chain_audit(program(ctx))
    assert await pending(ctx) == 1  # the slow one comes before it
    go_on.set()
    await task
    await chain(ctx)
    rows = await fetch(
        "select event_type from audit_event where tenant_id = $1 order by position", ctx.tenant_id
    )
    assert [row["event_type"] for row in rows] == ["user_created", "user_updated"]


async def test_verification_never_raises_a_false_alarm_while_all_is_moving(ctx: Context) -> None:
    done = asyncio.Event()
    verified = 0

    async def write_on() -> None:
        for _ in range(60):
            async with unit_of_work(ctx) as work:
                for _ in range(10):
                    work.record(AuditEntry(AuditType.USER_UPDATED))

    async def keep(house: bool) -> None:
        system = program(ctx)
        while not done.is_set():
            await chain_audit(system)
            if house:
                await trim_audit(system, ctx.clock.now() - timedelta(milliseconds=300))

    async def verify() -> None:
        nonlocal verified
        while not done.is_set():
            assert (await check(ctx)).problems == []
            verified += 1

    tasks = [asyncio.create_task(each) for each in (keep(True), keep(False), verify())]
    try:
        await asyncio.gather(write_on(), write_on())
    finally:
        done.set()
        await asyncio.gather(*tasks)
    await chain(ctx)
    found = await check(ctx)
    assert (found.problems, found.last_position) == ([], 1_200)
    assert verified


async def test_a_batch_that_fails_leaves_nothing_half_done(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(ctx, 3)

    class Broken(Exception):
        pass

    def sign(_self: Signer, _checkpoint: object) -> bytes:
        raise Broken

    with monkeypatch.context() as broken:
        broken.setattr(Signer, "sign", sign)
        with pytest.raises(Broken):
            await chain_audit(program(ctx))
    assert await pending(ctx) == 3
    await chain(ctx)
    assert await problems(ctx) == []
