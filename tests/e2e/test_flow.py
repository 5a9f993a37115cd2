"""From an agent to a person, through both brokers: provision, publish, see the push, read it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import zstandard

from tests.e2e.agents import READINGS, Agent
from tests.e2e.cloud import Cloud, Subscription
from tests.e2e.recordings import (
    Seen,
    facts_of,
    readings_of,
    recorded,
    recorded_telemetry,
    to_json,
    without_nested_intervals,
)
from tests.tools import until

pytestmark = pytest.mark.slow

ENCODINGS: dict[str, Callable[[object], bytes]] = {
    "JSON": to_json,
    "MessagePack": msgspec.msgpack.encode,
    "zlib around JSON": lambda batch: zlib.compress(to_json(batch)),
    "zlib around MessagePack": lambda batch: zlib.compress(msgspec.msgpack.encode(batch)),
    "gzip": lambda batch: gzip.compress(to_json(batch)),
    "zstd": lambda batch: zstandard.compress(to_json(batch)),
}
STATE = """query ($agent: UUID!) { agent(uuid: $agent) {
  isOnline version architecture cpuUsage memoryTotal
  currentState { version apps config endpointsHealth } } }"""
SET_TARGET = """mutation ($agent: UUID!, $apps: JSON!, $config: JSON) {
  setTargetState(agentUuid: $agent, apps: $apps, config: $config) { version etag } }"""
SERIES = """query ($agent: UUID!, $start: DateTime, $end: DateTime) {
  series(select: {agentUuids: [$agent]}, start: $start, end: $end) { metric timestamps } }"""


async def collect(live: Subscription, wanted: Seen) -> list[tuple[str, int, Any]]:
    """Return the readings pushed until all wanted ones are there."""
    seen: list[tuple[str, int, Any]] = []
    while not wanted <= set(seen):
        batch = (await live.next())["readings"]
        columns = zip(batch["timestamps"], batch["values"], strict=True)
        seen += [(batch["metric"], at, value) for at, value in columns]
    return seen


async def test_readings_in_every_encoding_are_pushed_and_read(cloud: Cloud, agent: Agent) -> None:
    batches = [recorded_telemetry(hours_later=-number) for number in range(len(ENCODINGS))]
    wanted: Seen = set().union(*map(facts_of, batches))
    assert len(wanted) == 36 * len(ENCODINGS)
    async with agent.connected() as mqtt, cloud.follow(READINGS, agent=agent.uuid) as live:
        for batch, encode in zip(batches, ENCODINGS.values(), strict=True):
            await mqtt.publish(f"{agent.topic_prefix}/endpoints/modbus", encode(batch))
        pushed = await collect(live, wanted)
    assert set(pushed) == wanted

    latest = (await cloud.get(f"/api/v1/readings/{agent.uuid}/latest"))["readings"]
    newest = max(at for _, at, _ in wanted)
    found = {(row["metric_name"], milliseconds(row["time"]), row["value"]) for row in latest}
    assert found == {fact for fact in wanted if fact[1] == newest}
    path = f"/api/v1/readings/{agent.uuid}/timeseries"
    rows = (await cloud.get(path, start="2026-11-23T00:00:00Z", limit="1000"))["readings"]
    found = {(row["metric_name"], milliseconds(row["time"]), row["value"]) for row in rows}
    assert found == wanted
    assert len(rows) == len(wanted)


async def test_a_replay_changes_nothing_and_pushes_nothing(cloud: Cloud, agent: Agent) -> None:
    batch = recorded_telemetry()
    topic = f"{agent.topic_prefix}/endpoints/modbus"
    last = recorded_telemetry(hours_later=1)
    async with agent.connected() as mqtt, cloud.follow(READINGS, agent=agent.uuid) as live:
        await mqtt.publish(topic, to_json(batch))
        await collect(live, facts_of(batch))
        changed = recorded_telemetry()
        for reading in readings_of(changed):
            reading["value"] = 0
        for again in (batch, changed, last):
            await mqtt.publish(topic, to_json(again))
        pushed = await collect(live, facts_of(last))
    assert sorted(pushed, key=str) == sorted(facts_of(last), key=str)


async def test_states_by_mqtt_and_by_gzipped_patch_are_visible(cloud: Cloud, agent: Agent) -> None:
    first, _, full, _ = recorded("mqtt.jsonl")
    state = next(iter(first["json"].values()))
    async with agent.connected() as mqtt:
        await mqtt.publish(f"{agent.topic_prefix}/state", to_json({agent.uuid: state}))

        async def reported() -> dict[str, Any] | None:
            seen: dict[str, Any] = (await cloud.ask(STATE, agent=agent.uuid))["agent"]
            return seen if seen["currentState"] and seen["isOnline"] else None

        seen = await until(reported, "the state that came by MQTT is visible")
    assert seen["version"] == state["agent_version"]
    assert (seen["cpuUsage"], seen["memoryTotal"]) == (state["cpu_usage"], state["memory_total"])
    assert seen["currentState"]["config"] == state["config"]

    state = next(iter(full["json"].values())) | {"version": 7}
    state.pop("architecture")
    assert (await agent.report(**state)).is_success
    after = (await cloud.ask(STATE, agent=agent.uuid))["agent"]
    assert after["currentState"]["version"] == 7
    assert after["currentState"]["config"] == state["config"]
    assert after["currentState"]["endpointsHealth"] == state["endpoints_health"]
    assert after["architecture"] == seen["architecture"], "what is left out is unchanged"


async def test_a_new_target_state_reaches_the_next_poll(cloud: Cloud, agent: Agent) -> None:
    first = await agent.poll()
    assert first.status_code == 200
    assert agent.uuid in first.json()
    assert (await agent.poll(first.headers["etag"])).status_code == 304
    service = {"serviceId": 1, "serviceName": "web", "config": {"image": "nginx:1.27"}}
    apps = {"1001": {"appId": 1001, "appName": "edge-stack", "services": [service]}}
    config = recorded("http.jsonl")[2]["resp"]["57086897-4d8f-45f7-82f2-54f1b71848ab"]["config"]
    target = await cloud.ask(SET_TARGET, agent=agent.uuid, apps=apps, config=config)
    second = await agent.poll(first.headers["etag"])
    assert second.status_code == 200
    assert second.headers["etag"] != first.headers["etag"]
    document = second.json()[agent.uuid]
    assert document["apps"] == apps
    assert without_nested_intervals(document["config"]) == config
    assert document["version"] == target["setTargetState"]["version"]
    third = await agent.poll(second.headers["etag"])
    assert third.status_code == 304
    assert not third.content


async def test_log_batches_are_acknowledged_by_their_id(agent: Agent) -> None:
    line = {
        "timestamp": 1772359524000,
        "level": "info",
        "message": "made-up log text",
        "source": {"type": "system", "name": "Sync"},
        "isSystem": True,
        "deviceId": agent.uuid,
    }
    batch_id = f"{agent.uuid}-1772359524000-0"
    lines = [line, line | {"level": "warn"}]
    first = await agent.upload_logs(batch_id, lines)
    assert first.is_success
    assert first.json() | {"batchId": batch_id, "duplicate": False, "received": 2} == first.json()
    again = await agent.upload_logs(batch_id, lines)
    assert again.is_success
    assert again.json() | {"batchId": batch_id, "duplicate": True} == again.json()


async def test_what_cannot_be_read_is_kept_apart_and_the_rest_lives(
    cloud: Cloud, agent: Agent
) -> None:
    batch = recorded_telemetry()
    broken = readings_of(batch)[0]
    broken["timestamp"] = "the day before"
    good = {fact for fact in facts_of(recorded_telemetry()) if fact[:2] != bad_fact()}
    garbage = b"\x93\x01 no batch at all"
    async with agent.connected() as mqtt, cloud.follow(READINGS, agent=agent.uuid) as live:
        await mqtt.publish(f"{agent.topic_prefix}/endpoints/modbus", garbage)
        await mqtt.publish(f"{agent.topic_prefix}/endpoints/modbus", to_json(batch))
        pushed = await collect(live, good)
    assert set(pushed) == good
    async with cloud.database() as connection:
        letters = await connection.fetch(
            "select topic, reason, payload from dead_letter where agent_id ="
            " (select id from agent where uuid = $1) order by id",
            agent.uuid,
        )
    assert [letter["topic"] for letter in letters] == [f"{agent.topic_prefix}/endpoints/modbus"] * 2
    assert all(letter["reason"] for letter in letters)
    payloads = {letter["payload"] for letter in letters}
    assert garbage in payloads
    assert any(b"the day before" in payload for payload in payloads - {garbage})


def bad_fact() -> tuple[str, int]:
    first = recorded_telemetry()
    first["messages"] = [{"readings": readings_of(first)[:1]}]
    ((metric, at, _),) = facts_of(first)
    return metric, at


async def test_an_agent_cannot_speak_for_another(cloud: Cloud, agent: Agent) -> None:
    batch = recorded_telemetry()
    async with AsyncExitStack() as stack:
        victim = Agent(cloud.url)
        stack.push_async_callback(victim.close)
        await victim.provision(await cloud.provisioning_key())
        mqtt = await stack.enter_async_context(agent.connected())
        live = await stack.enter_async_context(cloud.follow(READINGS))
        foreign = f"{victim.topic_prefix}/endpoints/modbus"
        await mqtt.publish(foreign, to_json(batch))
        await mqtt.publish(f"{victim.topic_prefix}/state", to_json({victim.uuid: {"version": 9}}))
        await mqtt.publish(f"{agent.topic_prefix}/endpoints/modbus", to_json(batch))
        # One connection, one order: what the broker let through came before our own batch.
        async with cloud.database() as connection:
            while (found := (await live.next())["readings"])["agentUuid"] != agent.uuid:
                assert found["agentUuid"] != victim.uuid
            letters = "select count(*) from dead_letter where topic = $1"
            assert await connection.fetchval(letters, foreign) == 0
        day = {"start": "2026-11-23T00:00:00Z", "end": "2026-11-25T00:00:00Z"}
        assert (await cloud.ask(SERIES, agent=agent.uuid, **day))["series"]
        assert not (await cloud.ask(SERIES, agent=victim.uuid, **day))["series"]
        state = (await cloud.ask(STATE, agent=victim.uuid))["agent"]
        assert state["currentState"] is None
        assert not state["isOnline"]


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
