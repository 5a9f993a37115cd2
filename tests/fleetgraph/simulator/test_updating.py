"""Commands, hints, keys and clocks: one agent against a real broker and a small real cloud."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.agent_updates import UpdateCommand
from core.clock import SystemClock
from fleetgraph.simulator.agent import SimulatedAgent
from fleetgraph.simulator.faults import parse_fault
from fleetgraph.simulator.logbook import Logbook
from fleetgraph.simulator.wire import topic_prefix
from tests.fleetgraph.simulator.support import (
    QUICK,
    TENANT,
    Mosquitto,
    StubCloud,
    listening,
    living,
    until,
)

pytestmark = pytest.mark.slow
SECRET = "a secret that agents share"
UNHURRIED = replace(QUICK, poll=60.0, report=60.0)


def command(version: str, secret: str | None = None, *, hours: float = 1.0) -> bytes:
    now = SystemClock().now()
    made = UpdateCommand(version, None, False, now, now + timedelta(hours=hours))
    return json.dumps(made.document(secret)).encode()


def topic(agent: SimulatedAgent, channel: str) -> str:
    return f"{topic_prefix(TENANT, agent.identity.uuid)}/{channel}"


def told(messages: list[tuple[str, bytes]]) -> list[tuple[str, str | None]]:
    found = [json.loads(payload) for topic, payload in messages if topic.endswith("/status")]
    assert len({one["msgId"] for one in found}) == len(found)
    return [(one["type"], one.get("reason")) for one in found]


async def publish(agent: SimulatedAgent, channel: str, payload: bytes) -> None:
    await until(lambda: agent.is_connected)
    assert agent._link
    assert await agent._link.publish(topic(agent, channel), payload, retain=True)


async def test_becomes_another_version_by_a_restart_and_says_so(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with (
        listening(mosquitto.port, "i/+/a/+/#") as messages,
        living(cloud, update_secret=SECRET) as agent,
    ):
        await publish(agent, "agent/update", command("1.0.600"))
        await until(lambda: told(messages) == [("update_rejected", "missing_signature")])
        messages.clear()
        await publish(agent, "agent/update", command("1.0.600", SECRET))
        await until(lambda: ("update_skipped", "same_version") in told(messages))
        await until(lambda: b'"agent_version":"1.0.600"' in b"".join(p for _, p in messages))
    assert told(messages) == [
        ("update_command_received", None),
        ("preflight_started", None),
        ("preflight_passed", None),
        ("update_started", None),
        ("update_completed", None),
        # The command is still there when the agent comes back: nobody has cleared it here.
        ("update_command_received", None),
        ("update_skipped", "same_version"),
    ]
    assert agent.identity.agent_version == "1.0.600"
    polls = cloud.seen("GET", "/state")
    assert len([call for call in polls if "if-none-match" not in call.headers]) == 2
    async with listening(mosquitto.port, "i/+/a/+/agent/status") as kept:
        await until(lambda: kept)
    assert told(kept) == [("update_skipped", "same_version")]


async def test_refuses_another_command_while_one_is_carried_out(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    slow = replace(QUICK, install=30.0)
    async with listening(mosquitto.port, "i/#") as messages, living(cloud, pace=slow) as agent:
        await publish(agent, "agent/update", command("1.0.600"))
        await until(lambda: ("preflight_started", None) in told(messages))
        await publish(agent, "agent/update", command("1.0.600"))
        await until(lambda: ("update_rejected", "update_in_progress") in told(messages))


async def test_a_scheduled_update_waits_and_the_next_command_takes_its_place(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    now = SystemClock().now()
    later = UpdateCommand("1.0.600", now + timedelta(hours=1), False, now, now + timedelta(hours=2))
    async with listening(mosquitto.port, "i/#") as messages, living(cloud) as agent:
        await publish(agent, "agent/update", json.dumps(later.document(None)).encode())
        await until(lambda: ("update_scheduled", None) in told(messages))
        await publish(agent, "agent/update", command("1.0.601"))
        await until(lambda: ("update_completed", None) in told(messages))
    assert agent.identity.agent_version == "1.0.601"


async def test_polls_at_once_when_told_of_a_new_target_state(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with living(cloud, pace=UNHURRIED) as agent:
        await until(lambda: len(cloud.seen("GET", "/state")) == 1 and agent.is_connected)
        cloud.target, cloud.etag = {"version": 7, "apps": {}, "config": {}}, '"t7"'
        await publish(agent, "target-state", b'{"version": 7}')
        await until(lambda: agent.target.version == 7)
        await publish(agent, "target-state", b'{"version": 7}')
        await publish(agent, "target-state", b"")
        await until(lambda: agent.publisher.acknowledged > 5)
    assert len(cloud.seen("GET", "/state")) == 2


async def test_goes_on_with_a_new_device_key(cloud: StubCloud, mosquitto: Mosquitto) -> None:
    async with living(cloud) as agent:
        await until(lambda: agent.is_connected)
        before = agent.identity.device_key
        await agent.rotate_key()
        count = len(cloud.seen("GET", "/state"))
        await until(lambda: len(cloud.seen("GET", "/state")) > count)
    rotation = cloud.seen("POST", "/rotate-key")[0]
    assert rotation.headers["x-device-api-key"] == before
    assert agent.identity.device_key == "v2_another"
    later = [*cloud.seen("GET", "/ping"), cloud.seen("GET", "/state")[-1]]
    assert {call.headers["x-device-api-key"] for call in later} == {"v2_another"}


async def test_a_refused_rotation_leaves_the_key_as_it_is(cloud: StubCloud) -> None:
    cloud.status["rotate"] = 403
    async with living(cloud) as agent:
        await until(lambda: agent.is_connected)
        before = agent.identity.device_key
        await agent.rotate_key()
    assert agent.identity.device_key == before


@pytest.mark.parametrize(("kind", "days"), [("clock_behind", -1), ("clock_ahead", 1)])
async def test_stamps_all_it_says_by_a_clock_that_is_a_day_off(
    cloud: StubCloud, mosquitto: Mosquitto, kind: str, days: int
) -> None:
    def off(messages: list[tuple[str, bytes]]) -> bool:
        found: list[dict[str, Any]] = [
            json.loads(payload) for topic, payload in messages if "/endpoints/" in topic
        ]
        stamps = [datetime.fromisoformat(one["timestamp"]) for one in found]
        here = datetime.now(UTC)
        return any(abs((stamp - here).total_seconds() - days * 86_400) < 60 for stamp in stamps)

    async with listening(mosquitto.port, "i/#") as messages, living(cloud) as agent:
        await until(lambda: agent.is_connected)
        assert not off(messages)
        agent._world.plant.inject(
            parse_fault(f"{kind} gateway-01 60"), SystemClock().now().timestamp()
        )
        await until(lambda: off(messages))


async def test_tells_how_many_lines_its_full_log_lost(cloud: StubCloud) -> None:
    cloud.status["logs"] = 503
    cloud.status["dropped"] = 503
    async with living(cloud) as agent:
        await until(lambda: agent.is_connected)
        for number in range(2_100):
            agent._logs.note("info", "Test", f"line {number}")
        await until(lambda: cloud.seen("POST", "/dropped-summaries"))
        cloud.status.clear()
        cloud.calls.clear()
        await until(lambda: cloud.seen("POST", "/dropped-summaries"))
    (summary,) = cloud.seen("POST", "/dropped-summaries")[0].json["summaries"]
    assert summary["level"] == "info"
    assert summary["totalCount"] >= 100


def test_a_log_within_its_bounds_drops_nothing() -> None:
    async def send(_id: str, _attempt: int, _lines: bytes) -> bool:
        return True

    book = Logbook("an agent", send)
    for number in range(2_000):
        book.note(number, "info", "Test", "line")
    assert book.take_dropped() == []
