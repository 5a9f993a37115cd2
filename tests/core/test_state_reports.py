import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.payloads import decode_object
from core.state_reports import parse_state_report

AGENT = UUID("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d")
OTHER = UUID("00000000-0000-4000-8000-000000000001")
TRAFFIC = Path(__file__).parents[1] / "fixtures" / "agent-traffic"


def recorded_reports() -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (TRAFFIC / "mqtt.jsonl").read_text().splitlines()]
    return [line["json"] for line in lines if line["topic"].endswith("/state")]


@pytest.mark.parametrize("report", recorded_reports())
def test_a_recorded_report_is_read_without_problems(report: dict[str, Any]) -> None:
    agent = UUID(next(iter(report)))
    parsed = parse_state_report(report, agent)
    assert parsed.problems == ()
    assert parsed.extra == {}
    assert parsed.is_online is True
    assert not parsed.is_replay


def test_the_metrics_of_a_recorded_report_have_their_names() -> None:
    report = recorded_reports()[0]
    agent = UUID(next(iter(report)))
    parsed = parse_state_report(report, agent)
    assert parsed.metrics["cpu_usage"] == 32
    assert parsed.metrics["memory_total"] == 24105
    assert parsed.architecture == "x64"
    assert parsed.network_interfaces is not None
    assert parsed.config == {"endpoints": []}


def test_temperature_becomes_cpu_temp() -> None:
    assert parse_state_report({"temperature": 47}, AGENT).metrics == {"cpu_temp": 47.0}
    assert parse_state_report({"cpu_temp": 48.5}, AGENT).metrics == {"cpu_temp": 48.5}


@pytest.mark.parametrize("key", [str(AGENT), str(AGENT).upper()])
def test_a_report_may_be_keyed_or_bare(key: str) -> None:
    inner = {"apps": {}, "is_online": True, "version": 7}
    assert parse_state_report({key: inner}, AGENT) == parse_state_report(inner, AGENT)


def test_a_report_of_another_or_of_several_agents_is_refused() -> None:
    with pytest.raises(InvalidInput, match=str(OTHER)):
        parse_state_report({str(OTHER): {}}, AGENT)
    with pytest.raises(InvalidInput, match="2 agents"):
        parse_state_report({str(AGENT): {}, str(OTHER): {}}, AGENT)


@pytest.mark.parametrize("body", [None, [], "x", 5, {str(AGENT): []}])
def test_what_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidInput):
        parse_state_report(body, AGENT)


def test_a_report_without_version_is_a_replay() -> None:
    assert parse_state_report({"apps": {}, "is_online": True}, AGENT).is_replay
    assert not parse_state_report({"apps": {}, "version": 0}, AGENT).is_replay


def test_what_is_absent_is_none() -> None:
    parsed = parse_state_report({}, AGENT)
    assert parsed.apps is None
    assert parsed.config is None
    assert parsed.devices is None
    assert parsed.endpoints_health is None
    assert parsed.is_online is None
    assert parsed.metrics == {}
    assert parsed.problems == ()


def test_parts_of_a_wrong_type_are_left_out_and_noted() -> None:
    body = {
        "version": 7,
        "apps": [],
        "config": "x",
        "cpu_usage": "23",
        "memory_usage": True,
        "devices": [{"name": "a"}, 5],
        "endpoints_health": {"press": {"status": "online"}, "pump": None},
        "local_ip": 5,
        "is_online": "yes",
        "os_version": "x" * 2000,
    }
    parsed = parse_state_report(body, AGENT)
    assert parsed.version == 7
    assert parsed.devices == [{"name": "a"}]
    assert parsed.endpoints_health == {"press": {"status": "online"}}
    assert [parsed.apps, parsed.config, parsed.local_ip, parsed.os_version] == [None] * 4
    assert parsed.metrics == {}
    noted = {problem.split(":")[0] for problem in parsed.problems}
    assert noted == {
        "apps",
        "config",
        "cpu_usage",
        "memory_usage",
        "devices.1",
        "endpoints_health.pump",
        "local_ip",
        "is_online",
        "os_version",
    }


def test_unknown_keys_are_kept() -> None:
    body = {str(AGENT): {"version": 1, "vpn_health": {"up": True}}, "msgId": "m-1"}
    assert parse_state_report(body, AGENT).extra == {"vpn_health": {"up": True}, "msgId": "m-1"}


def test_what_a_json_column_cannot_hold_is_cleaned() -> None:
    body = {"version": 1, "config": {"a\0": "b\0", "n": float("nan"), 5: b"x", "big": 2**70}}
    assert parse_state_report(body, AGENT).config == {"a": "b", "n": None, "5": None, "big": None}


def test_a_report_nested_too_deeply_is_refused() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(InvalidInput, match="deeply"):
        parse_state_report({"config": deep}, AGENT)


keys = st.sampled_from(["version", "apps", "devices", "endpoints_health", "cpu_usage", "uptime"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(keys | st.text(), values))
@settings(max_examples=40)
def test_any_object_without_uuids_is_accepted(body: dict[str, Any]) -> None:
    parsed = parse_state_report(body, AGENT)
    json.dumps(parsed.extra, allow_nan=False)
    json.dumps(parsed.apps, allow_nan=False)


def test_the_recorded_patch_is_read() -> None:
    lines = [json.loads(line) for line in (TRAFFIC / "http.jsonl").read_text().splitlines()]
    patch = next(line for line in lines if line["method"] == "PATCH")
    body = patch["body"] if isinstance(patch.get("body"), str) else json.dumps(patch["body"])
    report = decode_object(body.encode())
    assert isinstance(report, dict)
    assert parse_state_report(report, UUID(next(iter(report)))).problems == ()
