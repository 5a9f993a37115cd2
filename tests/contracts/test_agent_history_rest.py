"""What agents' figures and logs were, over REST: shapes, defaults, times, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from resolvers.current_states import report_metrics
from resolvers.device_logs import upload_logs
from tests.contracts.serving import Api, sign_in
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.schema.asking import as_agent

pytestmark = pytest.mark.slow

FIGURES = {
    "cpu_usage": 20.0,
    "cpu_temp": 47.5,
    "memory_usage": 412.0,
    "memory_total": 3906.0,
    "storage_usage": 8120.0,
    "storage_total": 29600.0,
    "top_processes": [{"name": "made-up", "cpu": 3.5}],
}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def get(ctx: Context, path: str, role: str = "viewer", **query: Any) -> httpx.Response:
    _, token = await sign_in(ctx, role=role)
    async with Api(ctx).client(authorization=token) as client:
        return await client.get(f"/api/v1/agents/{path}", params=query)


async def log(ctx: Context, agent: Agent, at: dict[str, datetime]) -> None:
    body = [
        {"message": text, "timestamp": moment.timestamp() * 1_000, "serviceName": "web"}
        for text, moment in at.items()
    ]
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, json.dumps(body).encode())


async def test_figures_come_newest_first(ctx: Context, agent: Agent) -> None:
    clock = ManualClock(ctx.clock.now().replace(second=0, microsecond=0) - timedelta(minutes=5))
    for cpu in (10.0, 20.0):
        clock.advance(seconds=60)
        own = replace(as_agent(ctx, agent), clock=clock)
        await report_metrics(own, {**FIGURES, "cpu_usage": cpu})
    answer = (await get(ctx, f"{agent.uuid}/metrics")).json()
    assert answer["count"] == 2
    newest, older = answer["metrics"]
    at = clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert newest == {"agent_uuid": str(agent.uuid), **FIGURES, "recorded_at": at}
    assert older["cpu_usage"] == 10
    limited = (await get(ctx, f"{agent.uuid}/metrics", limit=1)).json()
    assert limited == {"count": 1, "metrics": [newest]}


async def test_a_period_gives_means_oldest_first(ctx: Context, agent: Agent) -> None:
    now = ctx.clock.now().replace(second=0, microsecond=0)
    for seconds, cpu in ((-120, 10.0), (-110, 30.0), (-60, 50.0)):
        clock = ManualClock(now + timedelta(seconds=seconds))
        own = replace(as_agent(ctx, agent), clock=clock)
        await report_metrics(own, {**FIGURES, "cpu_usage": cpu})
    answer = (await get(ctx, f"{agent.uuid}/metrics", period="30min")).json()
    assert answer["count"] == 2
    at = (now - timedelta(seconds=120)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert answer["metrics"][0] == {
        "recorded_at": at,
        "cpu_usage": 20,
        "memory_usage": 412,
        "storage_usage": 8120,
        "cpu_temperature": 47.5,
    }
    assert answer["metrics"][1]["cpu_usage"] == 50


async def test_lines_come_newest_first_with_the_names_of_the_contract(
    ctx: Context, agent: Agent
) -> None:
    now = ctx.clock.now().replace(microsecond=0)
    await log(ctx, agent, {"old": now - timedelta(minutes=1), "new": now})
    answer = (await get(ctx, f"{agent.uuid}/logs")).json()
    assert answer["count"] == 2
    newest = answer["logs"][0]
    assert isinstance(newest.pop("id"), int)
    assert newest.pop("created_at") >= newest["timestamp"]
    assert newest == {
        "agent_uuid": str(agent.uuid),
        "service_name": "web",
        "message": "new",
        "level": "info",
        "is_system": False,
        "is_stderr": False,
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "meta": {},
    }
    second = (await get(ctx, f"{agent.uuid}/logs", limit=1, offset=1)).json()
    assert [line["message"] for line in second["logs"]] == ["old"]
    assert (await get(ctx, f"{agent.uuid}/logs/services")).json() == {"services": ["web"]}


async def test_a_date_is_the_whole_day_and_a_moment_is_included(ctx: Context, agent: Agent) -> None:
    day = datetime.combine(ctx.clock.now().date(), datetime.min.time(), UTC) - timedelta(days=3)
    last = day + timedelta(days=1, microseconds=-1_000)
    next_day = day + timedelta(days=1)
    await log(ctx, agent, {"first": day, "last": last, "next": next_day})
    date, moment = f"{day:%Y-%m-%d}", last.isoformat()
    for query, found in (
        ({"from": date, "to": date}, ["last", "first"]),
        ({"to": date}, ["last", "first"]),
        ({"from": f"{next_day:%Y-%m-%d}"}, ["next"]),
        ({"to": moment}, ["last", "first"]),
        ({"from": moment}, ["next", "last"]),
        ({"from": moment, "to": moment}, ["last"]),
        ({"to": "9999-12-31"}, ["next", "last", "first"]),
        ({"service": "web", "level": "info,warn"}, ["next", "last", "first"]),
        ({"level": "error"}, []),
    ):
        answer = (await get(ctx, f"{agent.uuid}/logs", **query)).json()
        assert [line["message"] for line in answer["logs"]] == found, query


@pytest.mark.parametrize(
    ("path", "query", "title", "said"),
    [
        ("metrics", {"limit": 0}, "Invalid parameters", "limit: must be between 1 and 1000"),
        ("metrics", {"limit": 1_001}, "Invalid parameters", "limit: must be between 1 and 1000"),
        ("metrics", {"period": "1h"}, "Invalid parameters", "30min, 6h, 12h, 24h"),
        ("logs", {"limit": 0}, "Invalid limit", "must be between 1 and 1000"),
        ("logs", {"limit": 1_001}, "Invalid limit", "must be between 1 and 1000"),
        ("logs", {"offset": 100_001}, "Invalid parameters", "offset: must be between 0 and 100000"),
        ("logs", {"from": "yesterday"}, "Invalid parameters", "from"),
        ("logs", {"to": "2026-02-30"}, "Invalid parameters", "to"),
        ("logs", {"from": "2026-02-02", "to": "2026-02-01"}, "Invalid parameters", "from"),
    ],
)
async def test_a_bad_parameter_is_named_with_its_limit(
    ctx: Context, agent: Agent, path: str, query: dict[str, Any], title: str, said: str
) -> None:
    answer = await get(ctx, f"{agent.uuid}/{path}", **query)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == title
    assert said in answer.text


@pytest.mark.parametrize("path", ["metrics", "metrics?period=6h", "logs", "logs/services"])
async def test_an_unknown_agent_is_not_found(ctx: Context, path: str) -> None:
    answer = await get(ctx, f"{ctx.ids.uuid()}/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "Device not found")
    async with Api(ctx).client() as client:
        answer = await client.get(f"/api/v1/agents/{ctx.ids.uuid()}/{path}")
        assert answer.status_code == 401
