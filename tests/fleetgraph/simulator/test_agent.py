"""One agent against a real broker and a small real cloud."""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.ids import RandomIds
from fleetgraph.simulator.agent import SimulatedAgent
from fleetgraph.simulator.cloud import CallFailed, open_client
from fleetgraph.simulator.encodings import Encoding
from fleetgraph.simulator.faults import parse_fault
from fleetgraph.simulator.identity import IdentityFile, new_identity
from fleetgraph.simulator.plant import Plant
from fleetgraph.simulator.wire import topic_prefix
from fleetgraph.simulator.world import World
from tests.fleetgraph.simulator.support import (
    QUICK,
    TENANT,
    Call,
    Mosquitto,
    StubCloud,
    free_port,
    listening,
    living,
    until,
)
from tests.fleetgraph.simulator.test_encodings import sniff

pytestmark = pytest.mark.slow


def plant_of(agent: SimulatedAgent) -> Plant:
    return agent._world.plant


def times(messages: list[tuple[str, bytes]]) -> list[str]:
    return [
        reading["timestamp"]
        for topic, payload in messages
        if "/endpoints/" in topic
        for element in sniff(payload)["messages"]
        for reading in element.get("readings", [element])
        if reading["metric"] == "speed"
    ]


def states(messages: list[tuple[str, bytes]], agent: SimulatedAgent) -> list[dict[str, Any]]:
    found = [json.loads(payload) for topic, payload in messages if topic.endswith("/state")]
    return [document[agent.identity.uuid] for document in found]


async def test_registers_proves_its_key_and_tells_everything_by_mqtt(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with listening(mosquitto.port, "i/#") as messages, living(cloud) as agent:
        await until(lambda: states(messages, agent) and times(messages))
    register, exchange = cloud.calls[:2]
    assert register.path == "/api/v1/agent/register"
    assert register.headers["x-provisioning-key"] == "prov-key"
    assert register.headers["x-idempotency-key"] == f"register-{agent.identity.uuid}"
    assert register.headers["user-agent"] == "undici"
    assert len(register.json["deviceApiKey"]) == 76
    assert exchange.path.endswith("/key-exchange")
    assert exchange.headers["x-agent-key"] == register.json["deviceApiKey"]
    prefix = topic_prefix(TENANT, agent.identity.uuid)
    assert {topic for topic, _ in messages} == {f"{prefix}/state", f"{prefix}/endpoints/modbus"}
    first = states(messages, agent)[0]
    assert {"agent_version", "os_version", "config", "devices", "cpu_usage"} <= first.keys()
    assert (first["version"], first["is_online"], first["apps"]) == (1, True, {})
    assert not cloud.seen("PATCH", "/state")


async def test_reports_by_mqtt_have_sorted_keys_and_later_ones_are_partial(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with listening(mosquitto.port, "i/+/a/+/state") as messages, living(cloud) as agent:
        await until(lambda: len(messages) > 2)
        second = states(messages, agent)[1]
    assert second.keys() == {"apps", "endpoints_health", "is_online", "version"}
    for _, payload in messages:
        compact = json.dumps(
            json.loads(payload), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert payload.decode() == compact


async def test_polls_first_without_and_then_with_the_tag_byte_for_byte(cloud: StubCloud) -> None:
    cloud.etag = 'W/"odd  tag"'
    async with living(cloud):
        await until(lambda: len(cloud.seen("GET", "/state")) > 3)
    first, *others = cloud.seen("GET", "/state")
    assert "if-none-match" not in first.headers
    assert {call.headers["if-none-match"] for call in others} == {'W/"odd  tag"'}
    assert {call.headers["pragma"] for call in others} == {"no-cache"}


async def test_applies_a_target_state_and_reports_it(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with listening(mosquitto.port, "i/+/a/+/state") as messages, living(cloud) as agent:
        await until(lambda: messages)
        endpoint = {"uuid": "u-1", "name": "extra", "protocol": "opcua", "connection": {"a": 1}}
        config = {"logging": {"level": "debug"}, "endpoints": [endpoint]}
        cloud.target, cloud.etag = {"version": 9, "apps": {}, "config": config}, '"t2"'
        await until(lambda: states(messages, agent)[-1]["version"] == 9)
        told = next(state for state in states(messages, agent) if state["version"] == 9)
    assert told["config"]["logging"] == {"level": "debug"}
    own, extra = told["config"]["endpoints"]
    assert own["name"] == "press-01"
    assert (extra["id"], extra["connectionString"]) == ("u-1", '{"a":1}')
    assert "connection" not in extra


@pytest.mark.parametrize("encoding", [Encoding.ZLIB_MSGPACK, Encoding.ZSTD_JSON])
async def test_the_first_batch_is_plain_json_whatever_the_encoding(
    cloud: StubCloud, mosquitto: Mosquitto, encoding: Encoding
) -> None:
    topic = "i/+/a/+/endpoints/+"
    async with listening(mosquitto.port, topic) as messages, living(cloud, encoding=encoding):
        await until(lambda: len(messages) > 3)
    starts = [payload[:1] == b"{" for _, payload in messages]
    assert starts == [True] + [False] * (len(starts) - 1)
    ids = [sniff(payload)["msgId"] for _, payload in messages]
    assert len(set(ids)) == len(ids)
    assert times(messages) == sorted(set(times(messages)))


async def test_ships_logs_until_they_are_confirmed(cloud: StubCloud) -> None:
    cloud.confirms_logs = False
    async with living(cloud):
        await until(lambda: len(cloud.seen("POST", "/logs")) > 3)
        first = cloud.calls.index(cloud.seen("POST", "/logs")[0])
        batch = cloud.calls[first].headers["x-batch-id"]
        cloud.confirms_logs = True
        confirmed_from = len(cloud.calls)
        await until(lambda: len(cloud.seen("GET", "/state")) > 10)
    same = [c for c in cloud.seen("POST", "/logs") if c.headers["x-batch-id"] == batch]
    assert [c.headers["x-batch-attempt"] for c in same] == [str(n + 1) for n in range(len(same))]
    assert len(same) > 2
    later = [c for c in cloud.calls[confirmed_from:] if c.headers.get("x-batch-id") == batch]
    assert len(later) <= 1
    lines = [json.loads(line) for line in same[0].body.splitlines()]
    assert same[0].body.endswith(b"\n")
    assert lines[0]["message"] == "MQTT connected"


async def test_after_a_lost_broker_reports_in_full_by_http(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    def full_reports() -> list[Call]:
        calls = cloud.seen("PATCH", "/device/state")
        return [call for call in calls if "config" in call.json[agent.identity.uuid]]

    async with living(cloud) as agent:
        await until(lambda: agent.publisher.acknowledged > 3)
        mosquitto.stop()
        await until(lambda: not agent.is_connected)
        cloud.calls.clear()
        mosquitto.start()
        await until(full_reports)
        assert agent.is_connected
    assert full_reports()[0].was_gzip
    assert full_reports()[0].headers["x-device-api-key"] == agent.identity.device_key
    assert all(
        call.was_gzip is (len(call.body) >= 1024) for call in cloud.seen("PATCH", "/device/state")
    )


async def test_telemetry_stays_back_until_a_report_gets_through_and_then_is_replayed_whole(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with living(cloud, encoding=Encoding.MSGPACK) as agent:
        await until(lambda: agent.publisher.acknowledged > 3)
        cloud.status["report"] = 503
        mosquitto.stop()
        await until(lambda: len(agent.publisher.outbox) > 3)
        mosquitto.start()
        await until(lambda: agent.is_connected)
        async with listening(mosquitto.port, "i/+/a/+/endpoints/+") as messages:
            count = len(agent.publisher.outbox)
            await until(lambda: len(agent.publisher.outbox) > count + 3)
            assert not messages
            missed = [json.loads(parcel.payload) for parcel in agent.publisher.outbox._parcels]
            cloud.status.clear()
            assert agent._link
            await agent._link.close()
            await until(lambda: len(messages) > len(missed))
    replayed = [json.loads(payload) for _, payload in messages if payload[:1] == b"{"]
    assert replayed[: len(missed)] == missed


async def test_what_was_measured_while_offline_is_replayed(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    topic = "i/+/a/+/endpoints/+"
    async with (
        living(cloud, encoding=Encoding.MSGPACK) as agent,
        listening(mosquitto.port, topic) as messages,
    ):
        await until(lambda: len(times(messages)) > 3)
        now = SystemClock().now().timestamp()
        plant_of(agent).inject(parse_fault("offline gateway-01 1"), now)
        await until(lambda: not agent.is_connected and len(agent.publisher.outbox) > 2)
        calls = len(cloud.calls)
        await until(lambda: len(agent.publisher.outbox) > 6)
        assert len(cloud.calls) == calls  # silent by HTTP too
        await until(lambda: agent.is_connected and not agent.publisher.outbox)
        count = len(times(messages))
        await until(lambda: len(times(messages)) > count + 3)
    stamps = [datetime.fromisoformat(stamp) for stamp in sorted(set(times(messages)))]
    gaps = [(after - before).total_seconds() for before, after in pairwise(stamps)]
    assert max(gaps) < 0.4  # the silence of a second is filled


async def test_two_failed_polls_mute_it_until_mqtt_reconnects(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    async with listening(mosquitto.port, "i/#") as messages, living(cloud) as agent:
        await until(lambda: times(messages))
        agent.health.report_failed()  # so that a third failed poll would not heal it
        cloud.status["poll"] = 500
        await until(lambda: agent.is_muted)
        await until(lambda: len(agent.publisher.outbox) > 1)
        messages.clear()
        await until(lambda: len(agent.publisher.outbox) > 5)
        assert agent.is_connected
        assert not times(messages)
        cloud.status.clear()
        polls = len(cloud.seen("GET", "/state"))
        await until(lambda: len(cloud.seen("GET", "/state")) > polls + 2)
        assert agent.is_muted
        assert agent._link
        await agent._link.close()
        await until(lambda: not agent.is_muted and times(messages))
    assert cloud.seen("PATCH", "/device/state")


async def test_without_a_broker_reports_go_by_http_and_telemetry_waits(
    cloud: StubCloud, mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    async with living(cloud) as agent:
        await until(lambda: cloud.seen("PATCH", "/device/state"))
        await until(lambda: len(agent.publisher.outbox) > 2)
        cloud.status["report"] = 401
        await until(lambda: agent.is_muted)


async def test_comes_back_as_itself_without_registering_again(
    cloud: StubCloud, tmp_path: Path
) -> None:
    path = tmp_path / "agents.json"
    file = IdentityFile(path)
    (identity,) = file.get_or_make(["gateway-01"], RandomIds())
    async with living(cloud, identity=identity) as agent:
        await until(lambda: agent.is_connected)
    file.save()
    assert path.stat().st_mode & 0o777 == 0o600
    (again,) = IdentityFile(path).get_or_make(["gateway-01"], RandomIds())
    assert again == identity
    cloud.calls.clear()
    async with living(cloud, identity=again) as agent:
        await until(lambda: agent.is_connected)
    assert not cloud.seen("POST", "/register")


async def test_registers_again_when_the_cloud_has_forgotten_it(cloud: StubCloud) -> None:
    identity = new_identity("gateway-01", RandomIds())
    identity.provisioned = True
    cloud.status["poll"] = 401
    async with living(cloud, identity=identity):
        await until(lambda: cloud.seen("POST", "/key-exchange"))
    assert cloud.seen("POST", "/register")[0].json["uuid"] == identity.uuid


async def test_asks_for_the_broker_again_when_the_stored_one_is_gone(cloud: StubCloud) -> None:
    identity = new_identity("gateway-01", RandomIds())
    async with living(cloud, identity=identity) as agent:
        await until(lambda: agent.is_connected)
    assert identity.broker
    identity.broker.port = free_port()
    async with living(cloud, identity=identity) as agent:
        await until(lambda: agent.is_connected)
    assert identity.broker.port == cloud.broker_port


async def test_gives_up_after_six_refusals_and_says_why(
    cloud: StubCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.status["register"] = 403
    async with open_client() as http:
        plant, ids = Plant(seed=1, agents=1), RandomIds()
        world = World(http, cloud.url, "bad", plant, SystemClock(), ids, pace=QUICK)
        agent = SimulatedAgent(world, new_identity("gateway-01", ids))
        with pytest.raises(CallFailed, match="403 register is not allowed"):
            await agent.run()
    assert len(cloud.seen("POST", "/register")) == 6
    assert caplog.text.count("cannot register yet") == 1
    assert agent.identity.device_key not in caplog.text
