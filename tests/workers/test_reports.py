"""The same report by every way that agents use: one table, one outcome."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from core.context import Context
from models.agents import Agent
from models.connection import fetch
from models.current_states import CurrentState
from models.endpoint_health import health_of
from tests.contracts.serving import Api, give_key
from tests.factories import make_agent
from tests.workers.plants import dead_letters, plant_of

pytestmark = pytest.mark.slow

Send = Callable[[bytes], Awaitable[int]]
"""Sends a report and returns the status as over HTTP; by MQTT 400 is a dead letter."""

PATH = "/api/v1/device/state"
RECORDED = Path(__file__).parents[1] / "fixtures" / "agent-traffic" / "mqtt.jsonl"
CUT = b'"cut in an emoji: \\ud83d"'
WHOLE = "cut in an emoji: \ufffd"


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


@pytest.fixture(params=["mqtt", "http", "http-gzip", "http-bearer"])
async def send(request: pytest.FixtureRequest, ctx: Context, agent: Agent) -> Any:
    async with AsyncExitStack() as stack:
        if request.param == "mqtt":
            plant = await stack.enter_async_context(plant_of(ctx))

            async def by_mqtt(body: bytes) -> int:
                before = len(await dead_letters(agent))
                await (await plant.send(agent, body, "state"))
                return 400 if len(await dead_letters(agent)) > before else 200

            yield by_mqtt
            return
        key, is_packed = await give_key(ctx, agent), request.param == "http-gzip"
        is_bearer = request.param == "http-bearer"
        own = {"authorization": f"Bearer {key}"} if is_bearer else {"x-device-api-key": key}
        client = await stack.enter_async_context(Api(ctx).client(**own))
        headers = {"content-type": "application/json"}
        if is_packed:
            headers["content-encoding"] = "gzip"

        async def by_http(body: bytes) -> int:
            packed = gzip.compress(body) if is_packed else body
            return (await client.patch(PATH, content=packed, headers=headers)).status_code

        yield by_http


def keyed(agent: Agent, **members: Any) -> bytes:
    return json.dumps({str(agent.uuid): members}).encode()


async def version_of(agent: Agent) -> int | None:
    state = await CurrentState.of(agent.tenant_id, agent_id=agent.id).first()
    return state.version if state else None


async def is_online(agent: Agent) -> bool:
    return (await Agent.find_row(agent.tenant_id, id=agent.id)).is_online


async def test_a_report_is_merged(agent: Agent, send: Send) -> None:
    assert await send(keyed(agent, version=3, apps={}, config={"a": 1}, cpu_usage=7)) == 200
    assert await send(keyed(agent, version=4, apps={})) == 200
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    assert (state.version, state.config) == (4, {"a": 1})
    assert (await Agent.find_row(agent.tenant_id, id=agent.id)).cpu_usage == 7
    assert await is_online(agent)


async def test_the_recorded_reports_are_taken(agent: Agent, send: Send) -> None:
    """Three reports of a real agent: after its start, with a new endpoint, after a restart."""
    lines = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    bodies = [line["json"] for line in lines if line["topic"].endswith("/state")]
    assert len(bodies) == 3
    for body in bodies:
        (told,) = body.values()
        assert await send(keyed(agent, **told)) == 200
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    (endpoint,) = await health_of(agent.tenant_id, [agent.id])
    assert (state.version, state.config) == (1, told["config"]), "1 until it has polled"
    assert (endpoint.name, endpoint.status, endpoint.connected) == ("plc_demo", "online", True)
    assert endpoint.last_poll is not None
    assert endpoint.last_poll.isoformat() == "2026-11-23T20:45:29.757000+00:00"


async def test_it_may_come_without_its_uuid(agent: Agent, send: Send) -> None:
    assert await send(b'{"version": 3, "apps": {}}') == 200
    assert await version_of(agent) == 3


async def test_half_a_character_costs_one_character(agent: Agent, send: Send) -> None:
    """A lone surrogate must not silence the agent, nor lose the whole report."""
    body = b'{"version": 3, "os_version": ' + CUT + b', "apps": {"1": {"appName": ' + CUT + b"}}}"
    assert await send(body) == 200
    row = await Agent.find_row(agent.tenant_id, id=agent.id)
    state = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    assert (row.os_version, state.apps) == (WHOLE, {"1": {"appName": WHOLE}})


async def test_a_replay_changes_nothing(agent: Agent, send: Send) -> None:
    assert await send(keyed(agent, apps={}, is_online=True, cpu_usage=7)) == 200
    assert await version_of(agent) is None
    assert not await is_online(agent)
    kept = "select is_replay from state_history where tenant_id = $1 and agent_id = $2"
    assert await fetch(kept, agent.tenant_id, agent.id) == [{"is_replay": True}]


@pytest.mark.parametrize(
    "odd",
    [
        {"apps": [], "config": "x", "devices": 5, "endpoints_health": []},
        {"endpoints_health": {"press": 5, "oven": {"lastPoll": "never", "errorCount": "many"}}},
        {"network_interfaces": "none", "cpu_usage": "hot", "uptime": None},
        {"x" * 300: "x" * 5_000},
    ],
    ids=["types", "health", "figures", "names"],
)
async def test_what_cannot_be_read_costs_itself_alone(
    agent: Agent, send: Send, odd: dict[str, Any]
) -> None:
    """Two errors in a row silence an agent: a live report is not refused for a part of it."""
    assert await send(keyed(agent, version=3, **odd)) == 200
    assert await version_of(agent) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda _: {str(uuid4()): {"version": 3, "apps": {}}},
        lambda agent: {str(agent.uuid): {"version": 3}, str(UUID(int=1)): {"version": 3}},
        lambda _: [{"version": 3}],
        lambda agent: {str(agent.uuid): "x"},
    ],
    ids=["of-another", "of-several", "list", "text"],
)
async def test_what_can_never_succeed_is_refused(
    agent: Agent, send: Send, make: Callable[[Agent], object]
) -> None:
    """The key must belong to the uuid, and one report is of one agent."""
    assert await send(json.dumps(make(agent)).encode()) == 400
    assert await version_of(agent) is None
    assert not await is_online(agent)


async def test_the_metrics_topic_keeps_figures_alone(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        body = b'{"cpu_usage": 5, "version": 9, "apps": {"1": {}}, "os_version": ' + CUT + b"}"
        await (await plant.send(agent, body, "metrics"))
    row = await Agent.find_row(agent.tenant_id, id=agent.id)
    assert (row.cpu_usage, row.os_version) == (5, WHOLE)
    assert await version_of(agent) is None
    assert await dead_letters(agent) == []


async def test_a_report_over_http_needs_a_key(ctx: Context, agent: Agent) -> None:
    async with Api(ctx).client() as client:
        answers = [
            await client.patch(PATH, json={str(agent.uuid): {"version": 1}}, headers=headers)
            for headers in ({}, {"x-device-api-key": "v2_00000000_wrong"})
        ]
    assert [each.status_code for each in answers] == [401, 401]
    assert await version_of(agent) is None


async def test_a_report_is_accepted_while_the_database_is_away(ctx: Context, agent: Agent) -> None:
    """Never answer an agent's report with an error for transient trouble."""
    api = Api(ctx)
    key = await give_key(ctx, agent)
    api.is_down = True
    async with api.client(**{"x-device-api-key": key}) as client:
        answer: httpx.Response = await client.patch(PATH, content=keyed(agent, version=1))
    assert answer.status_code < 300
    assert len(api.deferred) == 1
