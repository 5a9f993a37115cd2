"""A message is acknowledged once it is stored, in whatever form, and never before."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from core import metrics
from core.context import Context
from core.errors import Unavailable
from models.agent_events import AgentEvent
from models.agents import Agent, ProvisioningState
from models.connection import fetch
from models.current_states import CurrentState
from tests.factories import make_agent
from tests.tools import until
from tests.workers.plants import dead_letters, message, plant_of, reading, stored
from workers import ingest as ingest_module

pytestmark = pytest.mark.slow


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def test_acknowledges_what_is_committed(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, message(reading(value=20.5), reading(at=1, value=21))))
        assert await stored(ctx, agent) == {"temperature": [20.5, 21.0]}


async def test_acknowledges_nothing_while_the_database_is_away(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        plant.store.shut()
        waiting = [await plant.send(agent, message(reading(at=at))) for at in range(3)]
        await until(lambda: len(plant.store.calls) >= 2, "ingest tries again")
        assert not any(task.done() for task in waiting)
        assert await stored(ctx, agent) == {}

        plant.store.error = None
        await asyncio.gather(*waiting)
        assert await stored(ctx, agent) == {"temperature": [1.5] * 3}
        assert await dead_letters(agent) == []


async def test_a_repeat_is_acknowledged_and_not_stored(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, message(reading(value=1))))
        await (await plant.send(agent, message(reading(value=2))))
        assert await stored(ctx, agent) == {"temperature": [1.0]}


async def test_gathers_while_a_commit_is_under_way(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        plant.store.shut()
        first = await plant.send(agent, message(reading()))
        await until(lambda: plant.store.calls, "the first commit began")
        rest = [await plant.send(agent, message(reading(at=at))) for at in range(1, 20)]
        await asyncio.sleep(0.05)
        plant.store.error = None
        await asyncio.gather(first, *rest)
        # One call that failed at least, one for the first message, one for all others.
        assert plant.store.calls[-1] == 19
        assert set(plant.store.calls[:-1]) == {1}


async def test_a_message_that_the_database_refuses_is_buried_and_its_neighbours_live(
    ctx: Context, agent: Agent
) -> None:
    async with plant_of(ctx) as plant:
        plant.store.poison = "poison"
        metrics_sent = ["a", "b", "poison", "c", "d"]
        tasks = [await plant.send(agent, message(reading(name))) for name in metrics_sent]
        await asyncio.gather(*tasks)
        assert sorted(await stored(ctx, agent)) == ["a", "b", "c", "d"]
        ((reason, body),) = await dead_letters(agent)
        assert reason == "cannot be stored"
        assert b"poison" in body


async def test_a_refusal_that_passes_costs_nothing(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        plant.store.error_once = asyncpg.DeadlockDetectedError("deadlock detected")
        await (await plant.send(agent, message(reading())))
        assert await stored(ctx, agent) == {"temperature": [1.5]}
        assert await dead_letters(agent) == []


@pytest.mark.parametrize("payload", [b"\x00\xffnothing", b"{", b"", b"[]x"])
async def test_what_cannot_be_decoded_is_buried(ctx: Context, agent: Agent, payload: bytes) -> None:
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, payload))
        ((reason, kept),) = await dead_letters(agent)
        assert reason
        assert kept == payload


async def test_one_bad_reading_is_buried_and_the_rest_of_its_message_lives(
    ctx: Context, agent: Agent
) -> None:
    async with plant_of(ctx) as plant:
        bad = {"deviceName": "press", "metric": "x", "value": 1, "timestamp": "yesterday"}
        await (await plant.send(agent, message(reading("a"), bad, reading("b"))))
        assert sorted(await stored(ctx, agent)) == ["a", "b"]
        ((reason, part),) = await dead_letters(agent)
        assert "yesterday" in reason
        assert b"yesterday" in part


async def test_a_reading_from_another_age_is_buried(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        old = reading() | {"timestamp": "1999-01-01T00:00:00Z"}
        await (await plant.send(agent, message(old, reading("b"))))
        assert sorted(await stored(ctx, agent)) == ["b"]
        assert len(await dead_letters(agent)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"is_active": False}, {"provisioning_state": ProvisioningState.REGISTERED}],
    ids=["deactivated", "not proven"],
)
async def test_nobody_listens_to_an_agent_that_is(ctx: Context, changes: dict[str, object]) -> None:
    agent = await make_agent(ctx, **changes)
    async with plant_of(ctx) as plant:
        payload = message(reading(), {"of": str(agent.uuid)})
        topic = await plant.topic(agent)
        await plant.ingest.handle(topic, payload, retained=False)
        assert await stored(ctx, agent) == {}
        rows = await fetch(
            "select reason, tenant_id, payload from dead_letter where topic = $1", topic
        )
        assert [(row["tenant_id"], row["payload"]) for row in rows] == [(0, payload)]


async def test_strangers_topics_are_buried(ctx: Context) -> None:
    async with plant_of(ctx) as plant:
        topic = f"i/{ctx.ids.uuid()}/a/{ctx.ids.uuid()}/state"
        await plant.ingest.handle(topic, b"{}", retained=False)
        assert len(await fetch("select 1 from dead_letter where topic = $1", topic)) == 1


async def test_pushes_back_on_the_broker_when_too_much_waits(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "PENDING_READINGS_MAX", 100)
    async with plant_of(ctx) as plant:
        plant.store.shut()
        full = message(*(reading(at=at) for at in range(60)))
        tasks = [await plant.send(agent, full)]
        await until(lambda: plant.store.calls, "the first commit began")
        assert not plant.link.paused
        tasks.append(await plant.send(agent, full))
        await until(lambda: plant.link.paused, "ingest pushes back")
        assert metrics.INGEST_PENDING._value.get() == 120

        plant.store.error = None
        await asyncio.gather(*tasks)
        assert not plant.link.paused
        assert metrics.INGEST_PENDING._value.get() == 0


async def test_commits_what_it_has_received_before_it_ends(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        plant.store.shut()
        task = await plant.send(agent, message(reading()))
        await until(lambda: plant.store.calls, "the message is received")
        plant.store.error = None
    await asyncio.wait_for(task, 1)
    assert plant.link.paused
    assert await stored(ctx, agent) == {"temperature": [1.5]}


async def test_ends_in_time_when_the_database_is_away(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "_DRAIN_SECONDS_MAX", 0.1)
    async with plant_of(ctx) as plant:
        plant.store.shut()
        task = await plant.send(agent, message(reading()))
        await until(lambda: plant.store.calls, "the first commit began")
    await until(task.done, "the message was handed back")
    assert isinstance(task.exception(), Unavailable), "the broker must send it again"
    task.cancel()


async def test_hears_again_after_a_run_that_failed(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        plant.store.shut()
        lost = await plant.send(agent, message(reading()))
        await until(lambda: plant.store.calls, "the first commit began")
        # The supervisor ends a run and starts another on the same worker.
        plant.ingest._paused = True
    assert plant.link.paused
    plant.store.error = None
    task = asyncio.create_task(plant.ingest.run())
    try:
        await until(lambda: not plant.link.paused, "the broker may send")
        await (await plant.send(agent, message(reading(at=1))))
        assert metrics.INGEST_PENDING._value.get() == 0
        assert await stored(ctx, agent) == {"temperature": [1.5]}
    finally:
        for each in (task, lost):
            each.cancel()
            await asyncio.gather(each, return_exceptions=True)


async def test_state_metrics_and_events_go_through_their_use_cases(
    ctx: Context, agent: Agent
) -> None:
    state = {str(agent.uuid): {"apps": {}, "config": {"a": 1}, "version": 3}}
    usage = {"cpu_usage": 12.5, "memory_usage": 100, "memory_total": 200}
    async with plant_of(ctx) as plant:
        for channel, body in (
            ("state", json.dumps(state).encode()),
            ("metrics", json.dumps(usage).encode()),
            ("agent/status", b"online"),
        ):
            await (await plant.send(agent, body, channel))
    row = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    assert row.config == {"a": 1}
    assert (await Agent.find_row(agent.tenant_id, id=agent.id)).cpu_usage == 12.5
    events = await AgentEvent.of(agent.tenant_id, agent_id=agent.id)
    assert [(event.channel, event.payload) for event in events] == [("agent/status", "online")]


async def test_keeps_the_order_of_an_agents_reports(ctx: Context, agent: Agent) -> None:
    def state(version: int) -> bytes:
        return json.dumps(
            {str(agent.uuid): {"config": {"v": version}, "version": version}}
        ).encode()

    async with plant_of(ctx) as plant:
        tasks = [await plant.send(agent, state(version), "state") for version in range(1, 9)]
        await asyncio.gather(*tasks)
    row = await CurrentState.find_row(agent.tenant_id, agent_id=agent.id)
    assert (row.version, row.config) == (8, {"v": 8})


async def test_a_report_that_makes_no_sense_is_buried(ctx: Context, agent: Agent) -> None:
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, b"not json", "state"))
    assert len(await dead_letters(agent)) == 1


@pytest.mark.parametrize("channel", ["meta/dictionary", "agent/update", "agent/shell"])
async def test_what_is_not_for_us_is_acknowledged_and_dropped(
    ctx: Context, agent: Agent, channel: str
) -> None:
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, b"anything", channel))
    assert await dead_letters(agent) == []
    assert await AgentEvent.of(agent.tenant_id).count() == 0


async def test_an_agent_that_sends_readings_is_online(ctx: Context, agent: Agent) -> None:
    assert not agent.is_online
    async with plant_of(ctx) as plant:
        await (await plant.send(agent, message(reading())))
    assert (await Agent.find_row(agent.tenant_id, id=agent.id)).is_online
