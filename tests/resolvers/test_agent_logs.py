from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.callers import Caller, Role
from core.clock import micros
from core.context import Context
from core.errors import Forbidden, InvalidInput, NotFound
from models.agents import Agent
from resolvers.agent_logs import LogFilter, list_agent_logs, list_log_services
from resolvers.device_logs import upload_logs
from tests.factories import make_agent, make_tenant
from tests.resolvers.edge import as_agent

EVERYTHING = LogFilter()


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def log(ctx: Context, agent: Agent, *lines: dict[str, Any]) -> None:
    """Upload lines; `ago` is their age in seconds."""
    now = micros(ctx.clock.now())
    body = [
        {"message": "m", "timestamp": (now - line.pop("ago", 0) * 1_000_000) / 1_000} | line
        for line in lines
    ]
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, json.dumps(body).encode())


async def messages(ctx: Context, agent: Agent, wanted: LogFilter, **changes: Any) -> list[str]:
    page = await list_agent_logs(ctx, agent.uuid, wanted, **({"first": 1_000} | changes))
    return [line.message for line in page.items]


async def test_tells_lines_as_they_came_newest_first(ctx: Context, agent: Agent) -> None:
    web = {"serviceName": "web", "isStdErr": True, "level": "WARNING", "meta": {"try": 2}}
    await log(ctx, agent, {"message": "old", "ago": 60, **web}, {"message": "new"})
    page = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 10)
    new, old = page.items
    assert (new.message, new.service, new.level, new.meta) == ("new", "", "info", {})
    assert (old.message, old.service, old.level, old.meta) == ("old", "web", "warn", {"try": 2})
    assert (old.is_stderr, old.is_system, old.agent_uuid) == (True, False, agent.uuid)
    assert old.at < new.at <= new.received_at == old.received_at
    assert new.id != old.id
    again = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 10)
    assert again.items == page.items, "an id stays what it is"


async def test_pages_hold_each_line_once_even_of_one_moment(ctx: Context, agent: Agent) -> None:
    lines = [{"message": str(at), "ago": 60 * (at // 4)} for at in range(11)]
    await log(ctx, agent, *lines)
    by_cursor: list[str] = []
    after = None
    for _ in range(4):
        page = await list_agent_logs(ctx, agent.uuid, EVERYTHING, 3, after)
        by_cursor += [line.message for line in page.items]
        after = page.cursors[-1]
    by_offset: list[str] = []
    for offset in range(0, 12, 3):
        by_offset += await messages(ctx, agent, EVERYTHING, first=3, offset=offset)
    assert by_cursor == by_offset == await messages(ctx, agent, EVERYTHING)
    assert sorted(by_cursor, key=int) == [str(at) for at in range(11)]
    assert not page.has_next


async def test_each_condition_narrows(ctx: Context, agent: Agent) -> None:
    await log(
        ctx,
        agent,
        {"message": "a", "serviceName": "web", "level": "error", "ago": 300},
        {"message": "b", "serviceName": "db", "level": "warn", "ago": 200},
        {"message": "c", "serviceName": "web", "level": "debug", "ago": 100},
    )
    now = ctx.clock.now()
    since, until = now - timedelta(seconds=250), now - timedelta(seconds=150)
    for wanted, found in (
        (LogFilter(service="web"), ["c", "a"]),
        (LogFilter(levels=["error", "Warning"]), ["b", "a"]),
        (LogFilter(levels=[]), []),
        (LogFilter(since=since), ["c", "b"]),
        (LogFilter(until=until), ["b", "a"]),
        (LogFilter(since=since, until=until), ["b"]),
        (LogFilter(service="web", levels=["error"], until=until), ["a"]),
        (LogFilter(service="none"), []),
    ):
        assert await messages(ctx, agent, wanted) == found, wanted


async def test_the_time_is_applied_before_the_limit(ctx: Context, agent: Agent) -> None:
    await log(ctx, agent, *({"message": str(at), "ago": 10 * at} for at in range(10)))
    before = LogFilter(until=ctx.clock.now() - timedelta(seconds=55))
    assert await messages(ctx, agent, before, first=2) == ["6", "7"]


async def test_services_are_told_once_in_order(ctx: Context, agent: Agent) -> None:
    assert await list_log_services(ctx, agent.uuid) == []
    await log(ctx, agent, *({"serviceName": name} for name in ("web", "db", "", "web")))
    await log(ctx, agent, {"serviceName": "api", "ago": 3 * 86_400})
    other = await make_agent(ctx)
    await log(ctx, other, {"serviceName": "of another"})
    assert await list_log_services(ctx, agent.uuid) == ["api", "db", "web"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"first": 0}, "first: must be between 1 and 1000"),
        ({"first": 1_001}, "first: must be between 1 and 1000"),
        ({"offset": -1}, "offset: must be between 0 and 100000"),
        ({"offset": 100_001}, "offset: must be between 0 and 100000"),
        ({"after": "x"}, "after: is not a cursor"),
        ({"wanted": LogFilter(service="x" * 256)}, "service: must have at most 255"),
        ({"wanted": LogFilter(service="\0")}, "service: must have at most 255"),
        ({"wanted": LogFilter(levels=["\0"])}, "levels: must have at most 255"),
        ({"wanted": LogFilter(services=["a"] * 101)}, "services: must be at most 100"),
        ({"wanted": LogFilter(text="x" * 501)}, "q: must have at most 500"),
        ({"wanted": LogFilter(text="\0")}, "q: must have at most 500"),
        ({"wanted": LogFilter(min_level="loud")}, "minLevel: must be one of debug, info"),
        ({"wanted": LogFilter(since_id=2**63)}, "sinceId: is not the id"),
        ({"before": "x"}, "before: is not a cursor"),
        ({"after": "x", "before": "x"}, "before: does not go with"),
        ({"wanted": LogFilter(levels=["a"] * 21)}, "levels: must be at most 20"),
    ],
)
async def test_says_what_is_out_of_bounds(
    ctx: Context, agent: Agent, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        await messages(ctx, agent, changes.pop("wanted", EVERYTHING), **changes)


async def test_a_time_that_ends_before_it_begins_is_refused(ctx: Context, agent: Agent) -> None:
    now = ctx.clock.now()
    with pytest.raises(InvalidInput, match="from: must be before"):
        await messages(ctx, agent, LogFilter(since=now, until=now))


async def test_another_tenants_agent_is_not_found(ctx: Context, agent: Agent) -> None:
    await log(ctx, agent, {"serviceName": "web"})
    tenant = await make_tenant(ctx.clock, ctx.ids)
    other = replace(ctx, caller=Caller(Role.OWNER, tenant.id, user_id=ctx.ids.uuid()))
    for asked in (
        list_agent_logs(other, agent.uuid, EVERYTHING, 10),
        list_log_services(other, agent.uuid),
        list_agent_logs(ctx, ctx.ids.uuid(), EVERYTHING, 10),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_is_not_for_agents(ctx: Context, agent: Agent) -> None:
    with pytest.raises(Forbidden):
        await list_agent_logs(as_agent(ctx, agent), agent.uuid, EVERYTHING, 10)
