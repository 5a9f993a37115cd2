from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput, PayloadTooLarge
from core.target_documents import checked_document, keeping_update, update_problems

UUID = "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60"
ENDPOINT: dict[str, Any] = {
    "uuid": UUID,
    "name": "press_plc",
    "protocol": "modbus",
    "connection": {"type": "tcp", "host": "192.0.2.20", "port": 502, "slaveId": 1},
    "dataPoints": [{"name": "speed", "address": 0, "type": "holding", "dataType": "uint16"}],
}
SERVICE: dict[str, Any] = {"serviceId": 1, "serviceName": "web", "imageName": "nginx:1.27"}


def check(apps: object, config: object | None = None) -> None:
    checked_document(apps, config, bytes_max=256 * 1024)


def errors_of(apps: object, config: object | None = None) -> list[dict[str, Any]]:
    with pytest.raises(InvalidInput) as caught:
        check(apps, config)
    errors = caught.value.facts["errors"]
    assert isinstance(errors, list)
    assert caught.value.facts["field"] == errors[0]["field"]
    return errors


def service(**changes: Any) -> dict[str, Any]:
    return {"1001": {"appId": 1001, "services": [SERVICE | changes]}}


def container(**config: Any) -> dict[str, Any]:
    return service(config=config)


def test_the_document_of_the_wire_contract_passes_with_keys_that_nobody_knows() -> None:
    intervals = {"targetStatePollIntervalMs": 30_000, "reportIntervalMs": 20_000}
    config = {
        "intervals": intervals | {"agent": intervals, "discovery": {"fullIntervalMs": 1}},
        "logging": {"level": "info", "enableCompression": True, "logFlushIntervalMs": 30_000},
        "features": {"enableDevicePublish": True, "enableDeviceJobs": True},
        "publish": {"enabled": False},
        "endpoints": [ENDPOINT],
        "settings": {"firewallMode": "strict"},
        "protocols": {"modbus": {"anything": [1]}},
        "ourOwn": {"deep": [None, 1.5]},
    }
    apps = {
        "1001": {
            "appId": 1001,
            "appName": "edge-stack",
            "services": [
                SERVICE
                | {
                    "appId": 1001,
                    "state": "running",
                    "ours": 1,
                    "config": {
                        "image": "nginx:1.27",
                        "ports": ["8080:80", 80, "127.0.0.1:8000-8010:80-90/udp", "[::1]:1:1"],
                        "environment": {"TZ": "UTC", "N": 1, "EMPTY": None},
                        "volumes": ["data:/data"],
                        "networks": ["front"],
                        "restart": "on-failure:3",
                    },
                }
            ],
        }
    }
    assert checked_document(apps, config, bytes_max=10_000) == (apps, config)


@pytest.mark.parametrize(
    ("apps", "field"),
    [
        ({"one": {}}, "apps.one"),
        ({"1": {"appId": 2}}, "apps.1.appId"),
        ({"1": {"appId": "1"}}, "apps.1.appId"),
        ({"1": {"services": {}}}, "apps.1.services"),
        ({"1": {"services": [1]}}, "apps.1.services[0]"),
        ({"1": {"services": [{}]}}, "apps.1.services[0].serviceName"),
        (service(state="runing"), "apps.1001.services[0].state"),
        (service(serviceId=0), "apps.1001.services[0].serviceId"),
        (service(appId=7), "apps.1001.services[0].appId"),
        (service(config=[]), "apps.1001.services[0].config"),
        (container(ports="80"), "apps.1001.services[0].config.ports"),
        (container(ports=["80:"]), "apps.1001.services[0].config.ports[0]"),
        (container(ports=["80", "70000:80"]), "apps.1001.services[0].config.ports[1]"),
        (container(ports=[0]), "apps.1001.services[0].config.ports[0]"),
        (container(ports=[True]), "apps.1001.services[0].config.ports[0]"),
        (container(ports=["80/http"]), "apps.1001.services[0].config.ports[0]"),
        (container(environment="A=B"), "apps.1001.services[0].config.environment"),
        (container(environment={"A": []}), "apps.1001.services[0].config.environment.A"),
        (container(volumes=[1]), "apps.1001.services[0].config.volumes[0]"),
        (container(restart="sometimes"), "apps.1001.services[0].config.restart"),
        (
            {"1": {"services": [SERVICE, SERVICE | {"serviceId": 2}]}},
            "apps.1.services[1].serviceName",
        ),
    ],
)
def test_names_the_path_of_what_is_wrong_with_an_app(apps: object, field: str) -> None:
    assert [error["field"] for error in errors_of(apps)] == [field]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"intervals": []}, "config.intervals"),
        ({"intervals": {"agent": 7}}, "config.intervals.agent"),
        ({"intervals": {"reportIntervalMs": 999}}, "config.intervals.reportIntervalMs"),
        (
            {"intervals": {"agent": {"metricsIntervalMs": 86_400_001}}},
            "config.intervals.agent.metricsIntervalMs",
        ),
        ({"intervals": {"reportIntervalMs": "20000"}}, "config.intervals.reportIntervalMs"),
        ({"logging": {"level": "loud"}}, "config.logging.level"),
        ({"logging": {"logBatchSize": 1_001}}, "config.logging.logBatchSize"),
        ({"logging": {"logFlushIntervalMs": 999}}, "config.logging.logFlushIntervalMs"),
        ({"logging": {"enableCompression": "yes"}}, "config.logging.enableCompression"),
        ({"features": {"enableDeviceJobs": 1}}, "config.features.enableDeviceJobs"),
        ({"features": []}, "config.features"),
        ({"publish": {"enabled": "on"}}, "config.publish.enabled"),
        ({"agent": "1.0.600"}, "config.agent"),
        ({"endpoints": {}}, "config.endpoints"),
        ({"endpoints": [5]}, "config.endpoints[0]"),
        ({"endpoints": [ENDPOINT, ENDPOINT | {"name": "b"}]}, "config.endpoints[1].uuid"),
        (
            {"endpoints": [ENDPOINT, ENDPOINT | {"uuid": "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f61"}]},
            "config.endpoints[1].name",
        ),
        (
            {"endpoints": [ENDPOINT | {"protocol": "carrier-pigeon"}]},
            "config.endpoints[0].protocol",
        ),
        (
            {"endpoints": [ENDPOINT | {"connection": ENDPOINT["connection"] | {"slaveId": 248}}]},
            "config.endpoints[0].connection.slaveId",
        ),
        (
            {"endpoints": [ENDPOINT | {"connection": ENDPOINT["connection"] | {"port": 65_536}}]},
            "config.endpoints[0].connection.port",
        ),
        (
            {
                "endpoints": [
                    ENDPOINT | {"connection": ENDPOINT["connection"] | {"timeout": 300_001}}
                ]
            },
            "config.endpoints[0].connection.timeout",
        ),
    ],
)
def test_names_the_path_of_what_is_wrong_with_a_configuration(config: object, field: str) -> None:
    assert [error["field"] for error in errors_of({}, config)] == [field]


def test_tells_everything_at_once_with_the_values() -> None:
    errors = errors_of(service(state="runing"), {"logging": {"level": "loud", "logBatchSize": 0}})
    assert [(error["field"], error["value"]) for error in errors] == [
        ("apps.1001.services[0].state", "runing"),
        ("config.logging.level", "loud"),
        ("config.logging.logBatchSize", 0),
    ]
    assert all(error["message"] for error in errors)


def test_tells_no_secret_and_no_long_value() -> None:
    environment = {"DB_PASSWORD": ["hunter2"], "LIST": ["x" * 1_000], "URL": [{"token": "t0p"}]}
    told = str(errors_of(container(environment=environment)))
    assert "hunter2" not in told
    assert "t0p" not in told
    assert "***" in told
    assert len(told) < 1_500


def test_tells_a_hundred_problems_at_most() -> None:
    assert len(errors_of({str(n): {"appId": -1} for n in range(300)})) == 100


def test_names_the_limit_of_the_size() -> None:
    with pytest.raises(PayloadTooLarge, match="262144 bytes"):
        check({}, {"text": "x" * 262_144})


def test_an_update_is_no_matter_of_the_configuration_unless_nothing_changes() -> None:
    live = {"agent": {"version": "1.0.1", "update_force": True, "color": "red"}}
    assert update_problems(live, live) == []
    assert update_problems(live, {}) == []
    assert update_problems(live, {"agent": {"version": "1.0.1", "color": "blue"}}) == []
    wanted = {"agent": {"version": "1.0.2", "update_force": True}}
    ((path, reason),) = update_problems(live, wanted)
    assert path == "config.agent.version"
    assert "requestAgentUpdate" in reason
    kept = keeping_update(live, {"agent": {"version": "0.9.0", "color": "blue"}, "a": 1})
    assert kept == {"agent": live["agent"] | {"color": "blue"}, "a": 1}
    assert keeping_update({}, {"agent": {"version": "0.9.0"}}) == {"agent": {}}
    assert keeping_update({}, {"a": 1}) == {"a": 1}
