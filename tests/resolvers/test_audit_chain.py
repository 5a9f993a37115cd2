"""The chain of the audit log over a real database: what is done to it, verification names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.audit import AuditEntry, AuditType
from core.audit_chain import START_HASH, Signer, link
from core.audit_verification import ChainCheck, ProblemKind
from core.callers import system_caller
from core.context import Context
from core.derived_secrets import DerivedSecrets
from models import audit_chain
from models.audit import append_audit
from models.audit_chain import row_of
from models.connection import fetch
from models.unit_of_work import unit_of_work
from resolvers.audit import chain_audit, trim_audit, verify_audit, verify_tenant_audit
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


@pytest.fixture
async def chained(ctx: Context) -> Context:
    """A tenant with eight rows chained in two batches; the first batch's checkpoint is kept."""
    clock = ManualClock()
    ctx = replace(ctx, clock=clock)
    await write(ctx, 5)
    await chain(ctx)
    clock.advance(seconds=3_600)
    await write(ctx, 3)
    await chain(ctx)
    return ctx


async def test_an_untouched_chain_is_intact(chained: Context) -> None:
    found = await verify_audit(chained)
    assert found.is_intact
    assert (found.check.rows, found.check.last_position, found.pending) == (8, 8, 0)
    assert [row["position"] for row in await checkpoints(chained)] == [5, 8]
    assert found.last_hash == (await checkpoints(chained))[-1]["chain_hash"]


async def test_rows_not_chained_yet_are_told_and_no_problem(chained: Context) -> None:
    await write(chained, 2)
    found = await verify_audit(chained)
    assert found.is_intact
    assert found.pending == 2


ALTERED = {
    "xid": "xid + 1",
    "event_type": "'user_deleted'",
    "severity": "'error'",
    "actor": "'agent'",
    "user_id": "gen_random_uuid()",
    "api_key_id": "gen_random_uuid()",
    "session_id": "gen_random_uuid()",
    "agent_uuid": "gen_random_uuid()",
    "subject": "'user:other'",
    "ip_address": "'192.0.2.1'",
    "user_agent": "'curl'",
    "request_id": "'other'",
    "details": """'{"at": 3.0}'""",
    "created_at": "created_at + interval '1 microsecond'",
    "chain_hash": "sha256('x')",
}


async def test_each_altered_column_of_a_row_is_named_by_position_and_id(chained: Context) -> None:
    columns = await fetch(
        "select column_name from information_schema.columns where table_name = 'audit_event'"
    )
    others = {"id", "tenant_id", "position"}  # in tests of their own
    assert {row["column_name"] for row in columns} == {*ALTERED, *others}
    where = f"tenant_id = {chained.tenant_id} and position = 4"
    for column, value in ALTERED.items():
        before = await fetch(f"select id, {column} as value from audit_event where {where}")
        await fetch(f"update audit_event set {column} = {value} where {where}")
        found = await check(chained)
        told = [(each.kind, each.first, each.id) for each in found.problems]
        assert told == [(ProblemKind.ROW_ALTERED, 4, before[0]["id"])], column
        await fetch(f"update audit_event set {column} = $1 where {where}", before[0]["value"])
    assert await problems(chained) == []


async def test_a_row_with_another_id_is_named(chained: Context) -> None:
    await change(
        chained, "update audit_event set id = default where tenant_id = {t} and position = 4"
    )
    assert await problems(chained) == [(ProblemKind.ROW_ALTERED, 4, 4)]


async def test_a_row_moved_to_another_tenant_is_missed(chained: Context) -> None:
    await change(
        chained, "update audit_event set tenant_id = -1 where tenant_id = {t} and position = 2"
    )
    assert await problems(chained) == [(ProblemKind.ROWS_MISSING, 2, 2)]
    await fetch("delete from audit_event where tenant_id = -1")


async def test_missing_rows_are_named(chained: Context) -> None:
    await change(chained, "delete from audit_event where tenant_id = {t} and position in (2, 3)")
    assert await problems(chained) == [(ProblemKind.ROWS_MISSING, 2, 3)]


async def test_a_missing_start_is_named(chained: Context) -> None:
    await change(chained, "delete from audit_event where tenant_id = {t} and position <= 5")
    assert await problems(chained) == [(ProblemKind.ROWS_MISSING, 1, 5)]


async def test_a_cut_off_tail_is_named(chained: Context) -> None:
    await change(chained, "delete from audit_event where tenant_id = {t} and position > 6")
    assert await problems(chained) == [(ProblemKind.TAIL_CUT, 7, 8)]
    await write(chained, 1)
    await chain(chained)
    assert await problems(chained) == [(ProblemKind.ROWS_MISSING, 7, 8)]


async def test_a_missing_checkpoint_is_named(chained: Context) -> None:
    await change(chained, "delete from audit_checkpoint where tenant_id = {t} and position = 5")
    assert await problems(chained) == [(ProblemKind.CHECKPOINT_MISSING, 5, 5)]


async def test_without_the_last_checkpoint_rows_are_unsigned_and_stay_suspect(
    chained: Context,
) -> None:
    await change(chained, "delete from audit_checkpoint where tenant_id = {t} and position = 8")
    assert await problems(chained) == [(ProblemKind.ROWS_UNSIGNED, 6, 8)]
    await write(chained, 1)
    await chain(chained)  # goes on, but does not sign what was not signed
    assert await problems(chained) != []


async def test_swapped_rows_are_named(chained: Context) -> None:
    await change(
        chained,
        "update audit_event set position = case position when 2 then -3 else -2 end"
        " where tenant_id = {t} and position in (2, 3)",
    )
    await change(
        chained,
        "update audit_event set position = -position where tenant_id = {t} and position < 0",
    )
    found = await problems(chained)
    assert (ProblemKind.ROW_ALTERED, 2, 2) in found
    assert (ProblemKind.ROW_ALTERED, 3, 3) in found


async def test_an_inserted_row_is_named(chained: Context) -> None:
    await change(
        chained,
        "insert into audit_event (tenant_id, event_type, severity, actor, subject, ip_address,"
        " user_agent, request_id, details, created_at, position, chain_hash) values ({t},"
        " 'user_login', 'info', 'user', '', '', '', '', '{}', now(), 9, sha256('x'))",
    )
    assert await problems(chained) == [
        (ProblemKind.ROW_ALTERED, 9, 9),
        (ProblemKind.ROWS_UNSIGNED, 9, 9),
    ]


async def test_a_forged_checkpoint_is_named_and_never_built_upon_unseen(chained: Context) -> None:
    await change(
        chained,
        "update audit_checkpoint set chain_hash = sha256('x') where tenant_id = {t} and position = 8",
    )
    assert await problems(chained) == [(ProblemKind.CHECKPOINT_FORGED, 8, 8)]
    await write(chained, 1)
    await chain(chained)
    assert (ProblemKind.CHECKPOINT_FORGED, 8, 8) in await problems(chained)


async def test_a_chain_computed_anew_does_not_lead_to_what_was_signed(chained: Context) -> None:
    await change(
        chained, "update audit_event set subject = 'x' where tenant_id = {t} and position = 2"
    )
    rows = await fetch(
        "select *, details::text as details from audit_event where tenant_id = $1 order by position",
        chained.tenant_id,
    )
    last = START_HASH
    for row in rows:
        last = link(last, row_of(row, position=row["position"]))
        await fetch("update audit_event set chain_hash = $2 where id = $1", row["id"], last)
    assert await problems(chained) == [
        (ProblemKind.ROWS_REWRITTEN, 1, 5),
        (ProblemKind.ROWS_REWRITTEN, 6, 8),
    ]


async def test_a_signature_of_another_installation_is_forged(chained: Context) -> None:
    other = Signer(DerivedSecrets("another secret of at least 32 bytes"))
    await change(
        chained,
        "update audit_checkpoint set signature = $1 where tenant_id = {t} and position = 5",
        other.sign(audit_chain.checkpoint_of((await checkpoints(chained))[0])),
    )
    assert await problems(chained) == [(ProblemKind.CHECKPOINT_FORGED, 5, 5)]


async def test_an_anchor_from_the_log_finds_a_log_that_was_set_back(chained: Context) -> None:
    head = (await checkpoints(chained))[-1]
    await change(chained, "delete from audit_checkpoint where tenant_id = {t} and position = 8")
    await change(chained, "delete from audit_event where tenant_id = {t} and position > 5")
    assert await problems(chained) == []
    found = await verify_tenant_audit(
        program(chained), chained.tenant_id, anchors={8: head["chain_hash"]}
    )
    assert [each.kind for each in found.check.problems] == [ProblemKind.ANCHOR_MISSED]


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
