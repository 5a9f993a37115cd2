"""A target state as an agent takes it over: what it keeps, skips and forgets."""

from __future__ import annotations

from typing import Any

import orjson

from fleetgraph.simulator.reports import reported_config
from fleetgraph.simulator.target import Target, hinted_version

TCP = {"type": "tcp", "host": "192.0.2.20"}


def endpoint(uuid: str, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "name": f"name of {uuid}", "protocol": "modbus", "connection": TCP} | more


def state(version: int, *endpoints: object, **config: Any) -> dict[str, Any]:
    return {"version": version, "apps": {}, "config": {"endpoints": list(endpoints)} | config}


def target() -> tuple[Target, list[str]]:
    warnings: list[str] = []
    return Target(warnings.append), warnings


def test_endpoints_missing_from_a_list_go_and_an_empty_list_keeps_them() -> None:
    it, _ = target()
    assert it.apply(state(2, endpoint("a"), endpoint("b")))
    assert it.apply(state(3, endpoint("b")))
    assert list(it.endpoints) == ["b"]
    assert it.apply(state(4))
    assert it.apply({"version": 5, "apps": {}, "config": {}})
    assert list(it.endpoints) == ["b"]
    assert it.version == 5


def test_endpoints_that_make_no_sense_are_skipped_with_a_warning() -> None:
    it, warnings = target()
    nameless = {"id": "x", "name": "by id", "connection": TCP}
    text = endpoint("c", connection=None, connectionString=orjson.dumps(TCP).decode())
    it.apply(state(2, endpoint("a"), nameless, text, "nonsense"))
    assert list(it.endpoints) == ["a"]
    assert len(warnings) == 3


def test_shows_endpoints_by_id_with_a_text_for_the_connection() -> None:
    it, _ = target()
    it.apply(state(2, endpoint("a")))
    (shown,) = reported_config(it.config, it.endpoints.values(), [])["endpoints"]
    assert shown["id"] == "a"
    assert orjson.loads(shown["connectionString"]) == TCP
    assert not {"uuid", "connection"} & set(shown)


def test_the_same_again_is_no_news_and_a_restart_forgets_the_version_alone() -> None:
    it, _ = target()
    assert it.apply(state(2, endpoint("a")))
    assert not it.apply(state(2, endpoint("a")))
    it.forget_version()
    assert (it.version, list(it.endpoints)) == (1, ["a"])


def test_a_version_that_is_none_counts_as_one_and_anomaly_detection_stays() -> None:
    it, _ = target()
    it.apply(state(2, anomalyDetection={"on": True}))
    it.apply({"version": "seven", "apps": {}, "config": {"x": 1}})
    assert it.version == 1
    assert it.config == {"x": 1, "anomalyDetection": {"on": True}}


def test_reads_the_version_off_a_hint() -> None:
    assert hinted_version(b'{"version": 7}') == 7
    assert hinted_version(b"[7]") is None
    assert hinted_version(b"seven") is None
