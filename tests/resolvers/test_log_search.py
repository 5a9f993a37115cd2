"""Texts, levels, services and cursors; many agents together; counts and what was dropped."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.callers import Caller, Role
from core.clock import micros
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.selectors import parse_selector
from models.agents import Agent
from models.connection import fetch
from models.device_logs import COUNT_MAX, LogPlace
from resolvers.agent_logs import (
    AgentsOfLogs,
    LogFilter,
    count_dropped_logs,
    count_logs,
    list_agent_logs,
    list_log_drops,
    search_logs,
)
from resolvers.device_logs import purge_logs, report_log_drops, upload_logs
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent, system

EVERYTHING = LogFilter()
LINES = (
    ("Connection refused by peer 10.0.0.7", "web", "error"),
    ("connection re-established", "web", "info"),
    ("user a@b.example logged in", "auth", "info"),
    ("Pumpe größer als erwartet", "plc", "warn"),
    ("refused: the connection is busy", "db", "notice"),
)


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def log(ctx: Context, agent: Agent, *lines: dict[str, Any]) -> None:
    body = json.dumps([{"message": "m"} | line for line in lines]).encode()
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, body)


async def found(ctx: Context, agent: Agent, wanted: LogFilter) -> set[str]:
    page = await list_agent_logs(ctx, agent.uuid, wanted, 100)
    assert await count_logs(ctx, page) == len(page.items)
    return {line.message for line in page.items}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("connection", [0, 1, 4]),
        ("CONNECTION refused", [0, 4]),
        ('"connection refused"', [0]),
        ('"connection  refused" peer', [0]),
        ("connection -refused", [1]),
        ('connection -"refused by"', [1, 4]),
        ("login or peer or plc", [0, 3]),
        ("web", [0, 1]),
        ("web connection", [0, 1]),
        ("10.0.0.7", [0]),
        ("a@b.example", [2]),
        ("größer", [3]),
        ("GRÖSSER", []),
        ("conn", []),
        ("re-established", [1]),
        ("-web", [2, 3, 4]),
        ("% _ \\ ' :* & | !", []),
        ("()<->", []),
    ],
)
async def test_words_phrases_and_exceptions_are_found(
    ctx: Context, agent: Agent, text: str, numbers: list[int]
) -> None:
    await log(ctx, agent, *({"message": m, "serviceName": s, "level": e} for m, s, e in LINES))
    assert await found(ctx, agent, LogFilter(text=text)) == {LINES[n][0] for n in numbers}


async def test_levels_from_one_on_keep_words_that_have_no_rank(ctx: Context, agent: Agent) -> None:
    await log(ctx, agent, *({"message": m, "serviceName": s, "level": e} for m, s, e in LINES))
    for lowest, numbers in (("warning", [0, 3, 4]), ("error", [0, 4]), ("debug", range(5))):
        wanted = LogFilter(min_level=lowest)
        assert await found(ctx, agent, wanted) == {LINES[n][0] for n in numbers}
    both = LogFilter(services=["web", "db"], min_level="warn")
    assert await found(ctx, agent, both) == {LINES[0][0], LINES[4][0]}
    assert await found(ctx, agent, LogFilter(services=[])) == set()


async def test_cursors_lead_in_both_directions(ctx: Context, agent: Agent) -> None:
    now_ms = micros(ctx.clock.now()) / 1000
    for n in range(9):
        await log(ctx, agent, {"message": str(n), "timestamp": now_ms - 9_000 + n * 1_000})

    async def page(**place: Any) -> tuple[list[str], Any]:
        given = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 3, **place)
        return [line.message for line in given.items], given

    newest, first = await page()
    older, second = await page(after=first.cursors[-1])
    assert (newest, older) == (["8", "7", "6"], ["5", "4", "3"])
    back, again = await page(before=second.newer)
    assert (back, again.has_next) == (["8", "7", "6"], False)
    middle, more = await page(before=(await page(after=second.cursors[-1]))[1].cursors[-1])
    assert (middle, more.has_next) == (["3", "2", "1"], True)
    nothing, end = await page(before=first.newer)
    assert (nothing, end.newer) == ([], first.newer)
    await log(ctx, agent, {"message": "new"})
    assert (await page(before=end.newer))[0] == ["new"]
    known = first.items[0].id
    assert await found(ctx, agent, LogFilter(since_id=known)) == {"new"}


async def test_counting_ends_somewhere(ctx: Context, agent: Agent) -> None:
    body = b'{"message":"m"}\n'
    for number, count in ((COUNT_MAX, COUNT_MAX), (1, None)):
        await upload_logs(as_agent(ctx, agent), agent.uuid, None, body * number)
        page = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 1)
        assert await count_logs(ctx, page) == count


async def test_lines_of_many_agents_come_together(ctx: Context, agent: Agent) -> None:
    other = await make_agent(ctx, tags={"site": "berlin"})
    third = await make_agent(ctx)
    stranger = await make_tenant(ctx.clock, ctx.ids)
    foreign = ctx.acting_as(Caller(Role.OWNER, stranger.id, user_id=ctx.ids.uuid()))
    outsider = await make_agent(foreign)
    now_ms = micros(ctx.clock.now()) / 1000
    each = ((agent, "a"), (other, "b"), (third, "c"))
    for ago, (which, message) in enumerate(each):
        await log(ctx, which, {"message": message, "timestamp": now_ms - ago * 1_000})
    await log(foreign, outsider, {"message": "of another tenant"})

    async def told(agents: AgentsOfLogs, **place: Any) -> list[str]:
        page = await search_logs(ctx, agents, EVERYTHING, LogPlace(**({"first": 9} | place)))
        assert {line.agent_uuid for line in page.items} <= {w.uuid for w, _ in each}
        return [line.message for line in page.items]

    assert await told(AgentsOfLogs()) == ["a", "b", "c"]
    assert await told(AgentsOfLogs([third.uuid, agent.uuid, outsider.uuid])) == ["a", "c"]
    assert await told(AgentsOfLogs(selector=parse_selector("site=berlin"))) == ["b"]
    assert await told(AgentsOfLogs(fleet_id=ctx.ids.uuid())) == []
    first = await search_logs(ctx, AgentsOfLogs(), EVERYTHING, LogPlace(2))
    assert first.has_next
    assert await told(AgentsOfLogs(), after=first.cursors[-1]) == ["c"]
    with pytest.raises(InvalidInput, match=r"filter\.agentUuids: must have at most 1000"):
        await told(AgentsOfLogs([agent.uuid] * 1_001))


async def test_what_an_agent_dropped_is_kept_once_and_summed(ctx: Context, agent: Agent) -> None:
    own = as_agent(ctx, agent)
    summaries = [{"totalCount": 7, "level": "debug"}, {"totalCount": "x"}, {"totalCount": -1}, 5]
    told_at = "2026-03-01T10:00:00Z"
    for _ in range(2):
        assert await report_log_drops(own, agent.uuid, summaries, told_at) == 3
    await report_log_drops(own, agent.uuid, [{"totalCount": 1}] * 2, 1_772_359_524_000)
    for _ in range(2):
        await report_log_drops(own, agent.uuid, [{"totalCount": 100}], "yesterday")
    page = await list_log_drops(ctx, agent.uuid, 50)
    counts = [drop.total_count for drop in page.items]
    assert sorted(counts) == [0, 0, 1, 1, 7, 100, 100]
    assert {"totalCount": 7, "level": "debug"} in [drop.summary for drop in page.items]
    logs = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 1)
    assert await count_dropped_logs(ctx, logs) == 209
    later = replace(logs, wanted=LogFilter(since=ctx.clock.now().replace(year=2200)))
    assert await count_dropped_logs(ctx, later) == 0
    first = await list_log_drops(ctx, agent.uuid, 3)
    rest = await list_log_drops(ctx, agent.uuid, 9, first.cursors[-1])
    assert [*first.items, *rest.items] == page.items
    with pytest.raises(NotFound):
        await list_log_drops(ctx, ctx.ids.uuid(), 3)


async def test_a_summary_that_is_odd_costs_no_other(ctx: Context, agent: Agent) -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    odd = [{"a": "x" * 20_000, "totalCount": 3}, {"a": deep}, {"a\0": "b\0"}, {"totalCount": 1e99}]
    assert await report_log_drops(as_agent(ctx, agent), agent.uuid, odd) == 4
    page = await list_log_drops(ctx, agent.uuid, 9)
    assert {drop.total_count: drop.summary for drop in page.items}[3] == {}
    assert {"a": "b"} in [drop.summary for drop in page.items]


async def test_batches_are_forgotten_after_a_week_and_their_lines_are_not(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.device_logs.PURGE_ROWS", 2)
    for n in range(5):
        body = b'{"message":"m"}'
        await upload_logs(as_agent(ctx, agent), agent.uuid, f"b-{n}", body)
    await fetch(
        "update log_batch set received_at = received_at - interval '8 days'"
        " where tenant_id = $1 and batch_id <> 'b-4'",
        ctx.tenant_id,
    )
    assert await purge_logs(system(ctx)) >= 4
    rows = await fetch("select batch_id from log_batch where tenant_id = $1", ctx.tenant_id)
    assert [row["batch_id"] for row in rows] == ["b-4"]
    assert len((await list_agent_logs(ctx, agent.uuid, EVERYTHING, 9)).items) == 5
