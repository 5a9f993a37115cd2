from __future__ import annotations

import asyncio
import hashlib
import json
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tortoise.transactions import in_transaction

from core.clock import micros
from core.context import Context
from core.errors import NotFound, PayloadTooLarge
from core.events import LogsArrived, logs_topic
from core.policy import Policy
from models.agent_events import LogBatch
from models.agents import Agent, lock_agent
from models.connection import fetch
from models.log_batches import append_log_batch, open_log_days
from models.register import delete_agent_rows
from resolvers import device_logs
from tests.factories import make_agent
from tests.resolvers.edge import as_agent
from tests.tools import until

RECORDED = Path(__file__).parent.parent / "fixtures/agent-traffic/http.jsonl"


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def upload(
    ctx: Context, agent: Agent, body: bytes, batch_id: str | None = "b-1"
) -> device_logs.LogReceipt:
    return await device_logs.upload_logs(as_agent(ctx, agent), agent.uuid, batch_id, body)


async def stored(agent: Agent) -> list[dict[str, Any]]:
    return await fetch(
        "select * from device_log where tenant_id = $1 and agent_id = $2 order by at, message",
        agent.tenant_id,
        agent.id,
    )


def lines(*items: object) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


async def test_stores_lines_and_echoes_the_batch(ctx: Context, agent: Agent) -> None:
    now_ms = micros(ctx.clock.now()) // 1000
    body = lines(
        {
            "timestamp": now_ms,
            "level": "warn",
            "message": "made-up",
            "source": {"type": "system", "name": "Sync"},
            "isSystem": True,
            "context": {"version": 7},
        },
        {"timestamp": now_ms + 1, "message": "out", "serviceName": "web", "isStdErr": True},
    )
    receipt = await upload(ctx, agent, body)
    assert receipt == device_logs.LogReceipt("b-1", True, False, 2, 0)
    first, second = await stored(agent)
    assert (first["level"], first["service"], first["message"]) == ("warn", "Sync", "made-up")
    assert (first["is_system"], first["is_stderr"]) == (True, False)
    assert json.loads(first["meta"]) == {"version": 7}
    assert micros(first["at"]) == now_ms * 1000
    assert (second["service"], second["is_stderr"]) == ("web", True)
    batch = await LogBatch.find_row(agent.tenant_id, agent_id=agent.id)
    assert (batch.batch_id, batch.line_count) == ("b-1", 2)
    assert (await Agent.find_row(agent.tenant_id, id=agent.id)).is_online


async def test_a_repeat_changes_nothing(ctx: Context, agent: Agent) -> None:
    body = lines({"message": "once"})
    await upload(ctx, agent, body)
    again = await upload(ctx, agent, body)
    assert again == device_logs.LogReceipt("b-1", True, True, 1, 0)
    assert len(await stored(agent)) == 1


async def test_six_attempts_at_once_store_once(ctx: Context, agent: Agent) -> None:
    body = lines(*({"message": f"line {n}"} for n in range(50)))
    receipts = await asyncio.gather(*(upload(ctx, agent, body) for _ in range(6)))
    assert sorted(receipt.duplicate for receipt in receipts) == [False, *[True] * 5]
    assert {receipt.batch_id for receipt in receipts} == {"b-1"}
    assert len(await stored(agent)) == 50


async def test_the_same_id_of_another_agent_is_another_batch(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx)
    await upload(ctx, agent, lines({"message": "a"}))
    assert not (await upload(ctx, other, lines({"message": "b"}))).duplicate


@pytest.mark.parametrize("batch_id", [None, ""])
async def test_without_an_id_lines_without_times_are_stored_each_time(
    ctx: Context, agent: Agent, batch_id: str | None
) -> None:
    for _ in range(2):
        receipt = await upload(ctx, agent, lines({"message": "x"}), batch_id)
        assert (receipt.batch_id, receipt.duplicate) == ("auto-generated", False)
    assert len(await stored(agent)) == 2


async def test_without_an_id_the_same_lines_with_the_same_times_are_a_repeat(
    ctx: Context, agent: Agent
) -> None:
    now_ms = micros(ctx.clock.now()) // 1000
    body = lines({"message": "x", "timestamp": now_ms})
    assert not (await upload(ctx, agent, body, None)).duplicate
    assert (await upload(ctx, agent, body, None)).duplicate
    assert not (await upload(ctx, agent, body + lines({"message": "y"}), None)).duplicate
    assert len(await stored(agent)) == 3


async def test_another_content_under_a_known_id_is_stored_as_its_own(
    ctx: Context, agent: Agent
) -> None:
    for message in ("before the counter began anew", "afterwards"):
        receipt = await upload(ctx, agent, lines({"message": message}))
        assert receipt == device_logs.LogReceipt("b-1", True, False, 1, 0)
    assert (await upload(ctx, agent, lines({"message": "afterwards"}))).duplicate
    assert len(await stored(agent)) == 2


async def test_a_retry_waits_for_the_attempt_that_is_under_way(ctx: Context, agent: Agent) -> None:
    body = lines({"message": "once"})
    row = (ctx.clock.now(), "info", "", "first attempt", False, False, "{}")
    digest = hashlib.blake2b(body, digest_size=16).digest()
    await open_log_days([row[0]], row[0])
    outside = copy_context()  # another connection for the retry
    async with in_transaction("default"):
        first = (agent.tenant_id, agent.id, "b-1", digest, [row], row[0])
        assert (await append_log_batch(*first)).is_new
        retry = asyncio.create_task(upload(ctx, agent, body), context=outside)
        await until(_is_waiting, "the retry waits")
        assert not retry.done()
    assert await retry == device_logs.LogReceipt("b-1", True, True, 1, 0)
    assert [line["message"] for line in await stored(agent)] == ["first attempt"]


async def _is_waiting() -> bool:
    (row,) = await fetch(
        "select exists(select from pg_locks where locktype = 'advisory' and not granted) as found"
    )
    return bool(row["found"])


async def test_the_ids_of_a_batch_are_its_own_whatever_comes_at_the_same_time(
    ctx: Context, agent: Agent
) -> None:
    bodies = [lines(*({"message": f"{n}"} for _ in range(20))) for n in range(6)]
    async with ctx.bus.subscribe(logs_topic(ctx.tenant_id)) as events:
        await asyncio.gather(*(upload(ctx, agent, body, f"{body!r}") for body in bodies))
        async with asyncio.timeout(10):
            heard = [await anext(events) for _ in bodies]
    ids: dict[str, list[int]] = {message: [] for message in map(str, range(6))}
    for row in await stored(agent):
        ids[row["message"]].append(row["id"])
    assert {(min(each), max(each)) for each in ids.values()} == {
        (event.first_id, event.last_id) for event in heard if isinstance(event, LogsArrived)
    }
    spans = sorted((min(each), max(each)) for each in ids.values())
    assert all(last < first for (_, last), (first, _) in pairwise(spans))


@pytest.mark.parametrize("count", [3, 4, 5])
async def test_a_batch_of_several_statements_is_one_batch(
    ctx: Context, agent: Agent, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.log_batches.ROWS_AT_ONCE", 2)
    now_ms = micros(ctx.clock.now()) // 1000
    times = [now_ms, now_ms - 5_000, now_ms + 5_000, now_ms - 1, now_ms + 1][:count]
    body = lines(*({"message": f"{at}", "timestamp": at} for at in times))
    assert (await upload(ctx, agent, body)).received == count
    rows = await stored(agent)
    batch = await LogBatch.find_row(agent.tenant_id, agent_id=agent.id)
    span = await fetch(
        "select line_count, first_id, last_id, first_at, last_at from log_batch where id = $1",
        batch.id,
    )
    ids = [row["id"] for row in rows]
    assert list(span[0].values()) == [count, min(ids), max(ids), rows[0]["at"], rows[-1]["at"]]


async def test_a_clock_a_day_off_and_batches_that_overtake_lose_nothing(
    ctx: Context, agent: Agent
) -> None:
    now = ctx.clock.now()
    for batch_id, hours in (("late", 23), ("early", -30), ("middle", 0)):
        at = micros(now + timedelta(hours=hours)) // 1000
        body = lines({"message": batch_id, "timestamp": at})
        assert (await upload(ctx, agent, body, batch_id)).received == 1
    assert [row["message"] for row in await stored(agent)] == ["early", "middle", "late"]


async def test_a_retry_is_counted(ctx: Context, agent: Agent) -> None:
    before = REGISTRY.get_sample_value("fleetgraph_log_retries_total") or 0
    for attempt in (None, 1, 2):
        body = lines({"message": f"{attempt}"})
        await device_logs.upload_logs(as_agent(ctx, agent), agent.uuid, "b", body, attempt)
    assert REGISTRY.get_sample_value("fleetgraph_log_retries_total") == before + 1


@pytest.mark.parametrize("batch_id", ["x" * 5_000, "a\x00b", "ü", "\ud83d", "   ", "a'b"])
async def test_echoes_and_knows_again_any_id(ctx: Context, agent: Agent, batch_id: str) -> None:
    first = await upload(ctx, agent, lines({"message": "x"}), batch_id)
    again = await upload(ctx, agent, lines({"message": "x"}), batch_id)
    assert (first.batch_id, first.duplicate) == (batch_id, False)
    assert (again.batch_id, again.duplicate) == (batch_id, True)


@pytest.mark.parametrize("body", [b"", b"\n\n", b"not json", b'{"message":""}\n[', b"\xff\x00"])
async def test_accepts_what_cannot_be_read(ctx: Context, agent: Agent, body: bytes) -> None:
    receipt = await upload(ctx, agent, body)
    assert (receipt.accepted, receipt.received) == (True, 0)
    assert (await upload(ctx, agent, body)).duplicate


async def test_skips_bad_lines_and_keeps_the_rest(ctx: Context, agent: Agent) -> None:
    body = b'{"message":"good"}\nbroken\n{"message":"a\\u0000b"}\n'
    receipt = await upload(ctx, agent, body)
    assert (receipt.received, receipt.skipped) == (2, 1)
    assert [row["message"] for row in await stored(agent)] == ["ab", "good"]


async def test_a_line_with_facts_nested_without_end_loses_only_them(
    ctx: Context, agent: Agent
) -> None:
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    await upload(ctx, agent, b'{"message":"deep","context":' + deep + b"}")
    (row,) = await stored(agent)
    assert json.loads(row["meta"]) == {}


async def test_puts_absurd_times_at_the_time_of_upload(ctx: Context, agent: Agent) -> None:
    now = ctx.clock.now()
    late = now - timedelta(days=89)
    moments = [now + timedelta(hours=25), now - timedelta(days=91), now - timedelta(days=399)]
    times = [0, 1, 4_000_000_000_000, -5, *(micros(each) // 1000 for each in moments)]
    body = lines(*({"timestamp": time, "message": "absurd"} for time in times))
    body += lines({"timestamp": micros(late) // 1000, "message": "late"})
    assert (await upload(ctx, agent, body)).received == 8
    rows = await stored(agent)
    assert rows[0]["message"] == "late"
    assert abs(rows[0]["at"] - late) < timedelta(milliseconds=1)
    assert all(row["at"] == row["received_at"] for row in rows[1:])


async def test_halves_of_characters_and_bytes_that_are_no_utf8_are_mended(
    ctx: Context, agent: Agent
) -> None:
    body = b'{"message":"cut \\ud83d"}\n{"message":"\xff\xfe"}\n5\n[1]\n"x"\nnull\n'
    receipt = await upload(ctx, agent, body)
    assert (receipt.received, receipt.skipped) == (2, 4)
    assert [row["message"] for row in await stored(agent)] == ["cut �", "��"]


async def test_bounds_the_size(ctx: Context, agent: Agent) -> None:
    small = replace(ctx, policy=Policy(device_logs_bytes_max=100))
    with pytest.raises(PayloadTooLarge):
        await upload(small, agent, lines({"message": "x" * 100}))


async def test_another_agents_uuid_is_not_found(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx)
    with pytest.raises(NotFound):
        await device_logs.upload_logs(as_agent(ctx, agent), other.uuid, "b", b"")


async def test_lines_that_retention_would_drop_at_once_make_no_days(
    ctx: Context, agent: Agent
) -> None:
    now = ctx.clock.now()
    short = replace(ctx, policy=Policy(logs_days=2))
    times = [micros(now - timedelta(days=days)) // 1000 for days in range(0, 500, 5)]
    body = lines(*({"message": "x", "timestamp": time} for time in times))
    assert (await upload(short, agent, body)).received == 100
    assert all(abs(row["at"] - now) < timedelta(seconds=1) for row in await stored(agent))


async def test_nothing_is_left_of_an_upload_that_races_the_deletion_of_its_agent(
    ctx: Context, agent: Agent
) -> None:
    own = as_agent(ctx, agent)
    outside = copy_context()  # another connection for the upload
    async with in_transaction("default"):
        await lock_agent(ctx.tenant_id, agent.uuid)
        body = lines({"message": "x"})
        late = asyncio.create_task(upload(ctx, agent, body), context=outside)
        drops = asyncio.create_task(
            device_logs.report_log_drops(own, agent.uuid, [{"totalCount": 1}]),
            context=outside.copy(),
        )
        await until(partial(_are_waiting, 2), "both wait for the agent's row")
        await delete_agent_rows(ctx.tenant_id, agent.id)
    for each in (late, drops):
        with pytest.raises(NotFound):
            await each
    for table in ("device_log", "log_batch", "log_drop"):
        rows = await fetch(f"select 1 from {table} where agent_id = $1", agent.id)
        assert rows == [], table


async def _are_waiting(count: int) -> bool:
    (row,) = await fetch(
        "select count(*) as n from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    return bool(row["n"] == count)


async def test_summaries_that_are_no_objects_are_passed_over(ctx: Context, agent: Agent) -> None:
    told: list[object] = [None, 1, "x", [], {"totalCount": 7}, {"totalCount": None}]
    assert await device_logs.report_log_drops(as_agent(ctx, agent), agent.uuid, told) == 2


async def test_takes_the_recorded_batches(ctx: Context) -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    uploads = [entry for entry in recorded if entry["url"].endswith("/logs")]
    agent = await make_agent(ctx, uuid=uploads[0]["url"].split("/")[4])
    agent = await Agent.find_row(ctx.tenant_id, id=agent.id)
    for entry in uploads:
        headers = dict(zip(entry["rawHeaders"][::2], entry["rawHeaders"][1::2], strict=True))
        body = entry["body"].encode()
        receipt = await upload(ctx, agent, body, headers["X-Batch-Id"])
        assert receipt.batch_id == headers["X-Batch-Id"]
        assert (receipt.received, receipt.skipped) == (body.count(b"\n"), 0)
