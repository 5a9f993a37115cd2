"""Whatever is done to the audit log, verification names it."""

from __future__ import annotations

import pytest

from core.audit_chain import START_HASH, Signer, link
from core.audit_verification import ProblemKind
from core.context import Context
from core.derived_secrets import DerivedSecrets
from models import audit_chain
from models.audit_chain import row_of
from models.connection import fetch
from resolvers.audit import verify_audit, verify_tenant_audit
from tests.resolvers.chains import (
    chain,
    change,
    check,
    checkpoints,
    eight_rows,
    problems,
    program,
    write,
)


@pytest.fixture
async def chained(ctx: Context) -> Context:
    return await eight_rows(ctx)


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
