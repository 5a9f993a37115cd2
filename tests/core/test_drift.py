"""Target against current state: only what both sides can say, with paths and without secrets."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.differences import DIFFERENCES_MAX, Difference, DifferenceKind
from core.drift import (
    SETTLING,
    DriftReason,
    DriftStatus,
    Reported,
    Wanted,
    differences_of,
    diverged_since,
    drift_of,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TRAFFIC = Path(__file__).parents[1] / "fixtures" / "agent-traffic"
APPS: dict[str, Any] = {
    "1001": {
        "appId": 1001,
        "appName": "edge-stack",
        "services": [
            {
                "serviceId": 1,
                "serviceName": "web",
                "imageName": "nginx",
                "state": "running",
                "config": {
                    "image": "nginx",
                    "ports": ["8080:80"],
                    "environment": {"TZ": "UTC", "DB_PASSWORD": "secret"},
                },
            }
        ],
    }
}
PRESS: dict[str, Any] = {
    "uuid": "6A1D0C52-7b3e-4f80-8a11-9c2b3d4e5f60",
    "name": "press_plc",
    "protocol": "modbus",
    "enabled": True,
    "pollInterval": 2000,
    "connection": {"type": "tcp", "host": "192.0.2.20", "port": 502, "password": "secret"},
    "dataPoints": [
        {"name": "speed", "address": 0, "type": "holding", "dataType": "uint16", "count": 1},
        {"name": "temp", "address": 2, "type": "holding", "dataType": "float32"},
    ],
}


def as_reported(endpoint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an endpoint in the shape in which agents report it."""
    told = deepcopy(endpoint) | changes
    told["id"] = told.pop("uuid").lower()
    told["connectionString"] = json.dumps(told.pop("connection"))
    return told | {"metadata": {}}


def running(**changes: Any) -> dict[str, Any]:
    """Return the apps as Docker mirrors them, with changes of the one service."""
    apps = deepcopy(APPS)
    service = apps["1001"]["services"][0]
    service |= {"containerId": "c0ffee", "status": "Up 5 minutes (healthy)"}
    service["config"] |= {"image": "docker.io/library/nginx:latest", "labels": {"a": "b"}}
    service["config"] |= changes.pop("config", {})
    service |= changes
    return apps


def wanted(**changes: Any) -> Wanted:
    values = {"version": 7, "apps": {}, "config": {"endpoints": []}, "updated_at": T0}
    return Wanted(**values | changes)  # type: ignore[arg-type]  # tests name the fields


def reported(**changes: Any) -> Reported:
    values = {"version": 7, "apps": {}, "config": None, "agent_version": "1.0.547"}
    return Reported(**{"reported_at": T0 + HOUR, **values, **changes})


def paths(apps: Any = None, told: Any = None, **configs: Any) -> list[tuple[str, str]]:
    want = wanted(apps=apps or {}, config=configs.get("config") or {})
    found = differences_of(want, reported(apps=told or {}, config=configs.get("said")))
    return [(each.kind.value, each.path) for each in found]


def endpoint_paths(
    targets: list[dict[str, Any]], told: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    return paths(config={"endpoints": targets}, said={"endpoints": told})


def test_apps_as_docker_mirrors_them_are_as_wanted() -> None:
    assert paths(APPS, running()) == []


@pytest.mark.parametrize(
    ("told", "kind", "path"),
    [
        ({}, "app_missing", "apps.1001"),
        (running() | {"7": {"appName": "other"}}, "app_unexpected", "apps.7"),
        ({"1001": {"services": []}}, "service_missing", "apps.1001.services.web"),
        (
            running(config={"image": "nginx:1.26"}),
            "service_image",
            "apps.1001.services.web.image",
        ),
        (running(status="exited"), "service_state", "apps.1001.services.web.state"),
        (running(status="Restarting (1)"), "service_state", "apps.1001.services.web.state"),
        (
            running(config={"ports": ["9090:80"]}),
            "service_config",
            "apps.1001.services.web.config.ports",
        ),
        (
            running(config={"environment": {"TZ": "CET"}}),
            "service_config",
            "apps.1001.services.web.config.environment",
        ),
    ],
    ids=["missing", "unexpected", "service", "image", "exited", "restarting", "ports", "env"],
)
def test_tells_what_is_wrong_with_apps(told: dict[str, Any], kind: str, path: str) -> None:
    assert paths(APPS, told) == [(kind, path)]


def test_an_app_that_should_be_stopped_may_be() -> None:
    apps = deepcopy(APPS)
    apps["1001"]["services"][0]["state"] = "stopped"
    assert paths(apps, running(status="exited")) == []
    assert paths(apps, running()) == [("service_state", "apps.1001.services.web.state")]


def test_an_endpoint_reported_by_id_and_connection_string_is_as_wanted() -> None:
    """Agents show `connection` as `connectionString`, a JSON text, and `uuid` as `id`."""
    told = as_reported(PRESS)
    told["dataPoints"][0].pop("count")
    assert endpoint_paths([PRESS], [told]) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"enabled": False}, "enabled"),
        ({"pollInterval": 5000}, "pollInterval"),
        ({"name": "press"}, "name"),
        ({"connection": PRESS["connection"] | {"port": 503}}, "connection.port"),
        ({"dataPoints": PRESS["dataPoints"][:1]}, "dataPoints.temp"),
        (
            {"dataPoints": [PRESS["dataPoints"][0] | {"address": 9}, PRESS["dataPoints"][1]]},
            "dataPoints.speed",
        ),
    ],
    ids=["enabled", "interval", "name", "connection", "point-gone", "point-changed"],
)
def test_tells_what_is_wrong_with_an_endpoint(changes: dict[str, Any], path: str) -> None:
    told = as_reported(PRESS, **changes)
    assert endpoint_paths([PRESS], [told]) == [
        ("endpoint_changed", f"config.endpoints.press_plc.{path}")
    ]


def test_tells_of_endpoints_that_are_missing_or_too_many() -> None:
    other = PRESS | {"uuid": "00000000-0000-4000-8000-000000000002", "name": "oven"}
    assert endpoint_paths([PRESS], [as_reported(other)]) == [
        ("endpoint_unexpected", "config.endpoints.oven"),
        ("endpoint_missing", "config.endpoints.press_plc"),
    ]


@pytest.mark.parametrize("config", [{}, {"endpoints": []}], ids=["missing", "empty"])
def test_an_empty_list_of_endpoints_keeps_those_of_the_agent(config: dict[str, Any]) -> None:
    """Trap: an empty or missing `endpoints` list keeps the existing endpoints."""
    want = wanted(config=config)
    drift = drift_of(want, reported(config={"endpoints": [as_reported(PRESS)]}))
    assert (drift.status, drift.differences) == (DriftStatus.IN_SYNC, [])
    assert drift.keeps_endpoints


def test_an_empty_list_of_points_keeps_those_that_were_discovered() -> None:
    """Trap: an empty `dataPoints` list keeps points found by discovery."""
    assert endpoint_paths([PRESS | {"dataPoints": []}], [as_reported(PRESS)]) == []


@pytest.mark.parametrize("spelling", ["data_points", "registers"])
def test_other_spellings_mean_the_same(spelling: str) -> None:
    target = {key: value for key, value in PRESS.items() if key != "dataPoints"}
    target |= {spelling: PRESS["dataPoints"], "poll_interval": target.pop("pollInterval")}
    assert endpoint_paths([target], [as_reported(PRESS)]) == []
    slow = as_reported(PRESS, pollInterval=9, dataPoints=[])
    assert len(endpoint_paths([target], [slow])) == 3


def test_a_scan_target_never_becomes_an_endpoint() -> None:
    """Trap: `connection.slaveRange` makes a scan target only; what it finds is expected."""
    scan = PRESS | {"connection": PRESS["connection"] | {"slaveRange": "1-10"}}
    found = PRESS | {"uuid": "00000000-0000-4000-8000-000000000003", "name": "slave_3"}
    assert endpoint_paths([scan], [as_reported(found)]) == []


def test_what_an_agent_never_told_is_no_difference() -> None:
    assert paths(config={"endpoints": [PRESS]}, said=None) == []
    assert endpoint_paths([PRESS], [{"id": PRESS["uuid"]}, "odd"]) == [  # type: ignore[list-item]
        ("endpoint_changed", "config.endpoints.press_plc.dataPoints.speed"),
        ("endpoint_changed", "config.endpoints.press_plc.dataPoints.temp"),
    ]


def test_secrets_are_masked() -> None:
    told = as_reported(PRESS, connection=PRESS["connection"] | {"password": "another secret"})
    change = running(config={"environment": {"TZ": "UTC", "DB_PASSWORD": "another secret"}})
    want = wanted(apps=APPS, config={"endpoints": [PRESS]})
    found = differences_of(want, reported(apps=change, config={"endpoints": [told]}))
    assert len(found) == 2
    assert "secret" not in repr(found)


def test_the_first_differences_are_enough() -> None:
    apps: dict[str, Any] = {str(number): {} for number in range(500)}
    assert len(differences_of(wanted(apps=apps), reported())) == DIFFERENCES_MAX


@pytest.mark.parametrize(
    ("version", "running_version", "differs"),
    [
        ("1.0.548", "1.0.547", True),
        ("v1.0.547", "1.0.547", False),
        ("latest", "1.0.547", False),
        (None, "1.0.547", False),
        ("1.0.548", None, False),
    ],
)
def test_the_agents_software_is_compared(
    version: str | None, running_version: str | None, differs: bool
) -> None:
    want = wanted(config={"agent": {"version": version}})
    found = differences_of(want, reported(agent_version=running_version))
    kind = DifferenceKind.AGENT_VERSION
    expected = [Difference(kind, "config.agent.version", version, running_version)]
    assert found == (expected if differs else [])


@pytest.mark.parametrize(
    ("want", "told", "status", "since", "reason"),
    [
        (None, reported(), DriftStatus.UNKNOWN, None, DriftReason.NO_TARGET),
        (wanted(), None, DriftStatus.UNKNOWN, None, DriftReason.NEVER_REPORTED),
        (wanted(), reported(), DriftStatus.IN_SYNC, None, None),
        (wanted(), reported(version=5), DriftStatus.IN_SYNC, None, None),
        (wanted(apps=APPS), reported(reported_at=T0 - HOUR), DriftStatus.PENDING, T0, None),
        (
            wanted(apps=APPS),
            reported(reported_at=T0 + SETTLING / 2),
            DriftStatus.PENDING,
            T0,
            None,
        ),
        (wanted(apps=APPS), reported(), DriftStatus.DRIFTED, T0, None),
        (
            wanted(apps=APPS),
            reported(diverged_at=T0 + HOUR / 2),
            DriftStatus.DRIFTED,
            T0 + HOUR / 2,
            None,
        ),
        (
            wanted(apps=APPS),
            reported(version=1),
            DriftStatus.UNKNOWN,
            None,
            DriftReason.NOT_POLLED,
        ),
        (
            wanted(apps=APPS),
            reported(version=None),
            DriftStatus.UNKNOWN,
            None,
            DriftReason.NOT_POLLED,
        ),
    ],
    ids=[
        *("no-target", "never-reported", "in-sync", "only-the-number-lags", "not-reported-since"),
        *("settling", "drifted", "drifted-since", "sync-is-off", "no-number"),
    ],
)
def test_the_status_follows_from_both(
    want: Wanted | None,
    told: Reported | None,
    status: DriftStatus,
    since: datetime | None,
    reason: DriftReason | None,
) -> None:
    drift = drift_of(want, told)
    assert (drift.status, drift.since, drift.reason) == (status, since, reason)


def test_an_agent_is_behind_since_the_target_changed_or_off_since_it_said_so() -> None:
    want = wanted(apps=APPS)
    assert diverged_since(want, reported(compared_version=6)) == T0
    assert diverged_since(want, reported(compared_version=7)) == T0 + HOUR
    assert diverged_since(want, reported(compared_version=6, diverged_at=T0 - HOUR)) == T0 - HOUR
    assert diverged_since(want, reported(apps=running(), diverged_at=T0)) is None


def test_the_recorded_agent_is_in_sync_with_what_it_was_told() -> None:
    polls = [json.loads(line) for line in (TRAFFIC / "http.jsonl").read_text().splitlines()]
    bodies = [line["body"] for line in polls if line["method"] == "PATCH"]
    ((_, told),) = bodies[0].items()
    (endpoint,) = told["config"]["endpoints"]
    target = {key: value for key, value in endpoint.items() if key not in {"id", "metadata"}}
    target["uuid"] = endpoint["id"]
    target["connection"] = json.loads(target.pop("connectionString"))
    assert endpoint_paths([target], [endpoint]) == []
