"""What an endpoint has to be, protocol by protocol."""

from __future__ import annotations

from typing import Any

import pytest

from core.sensor_rules import points_missing, sensor_problems

POINT: dict[str, Any] = {"name": "speed", "address": 0, "type": "holding", "dataType": "uint16"}
CONNECTIONS: dict[str, dict[str, Any]] = {
    "modbus": {"type": "tcp", "host": "192.0.2.20", "port": 502, "slaveId": 1, "timeout": 2000},
    "opcua": {"endpointUrl": "opc.tcp://192.0.2.21:4840/plant", "securityMode": "Sign"},
    "mqtt": {"topic": "hall/1/#", "qos": 1},
    "snmp": {"host": "switch.example", "version": "2c", "community": "public"},
    "bacnet": {"deviceInstance": 1001, "port": 47808},
    "can": {"interface": "can0", "bitrate": 500_000},
}
POINTS: dict[str, dict[str, Any]] = {
    "modbus": POINT,
    "opcua": {"name": "speed", "nodeId": "ns=2;s=Speed"},
    "mqtt": {"name": "speed"},
    "snmp": {"name": "uptime", "oid": "1.3.6.1.2.1.1.3.0"},
    "bacnet": {"name": "room", "objectType": "analogInput", "objectInstance": 1},
    "can": {"name": "rpm", "canId": 0x123},
}


def endpoint(protocol: str = "modbus", **changes: Any) -> dict[str, Any]:
    base = {"name": "press_plc", "protocol": protocol, "connection": CONNECTIONS[protocol]}
    return base | {"dataPoints": [POINTS[protocol]], "madeUp": {"x": 1}} | changes


def connected(protocol: str, **changes: Any) -> dict[str, Any]:
    return endpoint(protocol, connection=CONNECTIONS[protocol] | changes)


def pointed(protocol: str = "modbus", **changes: Any) -> dict[str, Any]:
    return endpoint(protocol, dataPoints=[POINTS[protocol] | changes])


def paths(found: dict[str, Any]) -> list[str]:
    return [path for path, _ in sensor_problems(found)]


@pytest.mark.parametrize("protocol", CONNECTIONS)
def test_a_sound_endpoint_of_each_protocol_passes_with_members_nobody_knows(protocol: str) -> None:
    assert sensor_problems(endpoint(protocol)) == []


@pytest.mark.parametrize("spelling", ["dataPoints", "data_points", "registers"])
@pytest.mark.parametrize("interval", ["pollInterval", "poll_interval"])
def test_each_spelling_that_agents_accept_is_looked_at(spelling: str, interval: str) -> None:
    found = endpoint() | {interval: 0, spelling: [POINT | {"address": 70_000}]}
    assert paths(found) == [interval, f"{spelling}[0].address"]


@pytest.mark.parametrize(
    ("found", "path"),
    [
        (endpoint(name=""), "name"),
        (endpoint(name=None), "name"),
        (endpoint(name="a\nb"), "name"),
        (endpoint() | {"protocol": "MODBUS"}, "protocol"),
        (endpoint() | {"protocol": "smoke"}, "protocol"),
        (endpoint(enabled="yes"), "enabled"),
        (endpoint(pollInterval=49), "pollInterval"),
        (endpoint(pollInterval=86_400_001), "pollInterval"),
        (endpoint(pollInterval="2000"), "pollInterval"),
        (endpoint(pollInterval=True), "pollInterval"),
        (endpoint(connection=None), "connection"),
        (endpoint(connection="{}"), "connection"),
        (endpoint(metadata=[1]), "metadata"),
        (endpoint(dataPoints={}), "dataPoints"),
        (endpoint(dataPoints=["speed"]), "dataPoints[0]"),
        (endpoint(dataPoints=[POINT, POINT]), "dataPoints[1].name"),
        (connected("modbus", host=None), "connection.host"),
        (connected("modbus", host="a b"), "connection.host"),
        (connected("modbus", port=65_536), "connection.port"),
        (connected("modbus", port="502"), "connection.port"),
        (connected("modbus", slaveId=0), "connection.slaveId"),
        (connected("modbus", slaveId=248), "connection.slaveId"),
        (connected("modbus", timeout=300_001), "connection.timeout"),
        (connected("modbus", type="smoke"), "connection.type"),
        (connected("modbus", type="rtu"), "connection.serialPort"),
        (connected("modbus", type="rtu", serialPort="/dev/ttyS0", parity=1), "connection.parity"),
        (pointed(address=-1), "dataPoints[0].address"),
        (pointed(address=None), "dataPoints[0].address"),
        (pointed(functionCode=5), "dataPoints[0].functionCode"),
        (pointed(type="smoke"), "dataPoints[0].type"),
        (pointed(dataType="float16"), "dataPoints[0].dataType"),
        (pointed(scale=float("nan")), "dataPoints[0].scale"),
        (pointed(offset="1"), "dataPoints[0].offset"),
        (pointed(count=0), "dataPoints[0].count"),
        (pointed(address=65_535, count=2), "dataPoints[0].count"),
        (pointed(type="input", writable=True), "dataPoints[0].writable"),
        (pointed(type=None, functionCode=2, writable=True), "dataPoints[0].writable"),
        (pointed(type="coil", functionCode=3), "dataPoints[0].type"),
        (connected("opcua", endpointUrl="http://192.0.2.21"), "connection.endpointUrl"),
        (connected("opcua", endpointUrl=None), "connection.endpointUrl"),
        (connected("opcua", securityMode="smoke"), "connection.securityMode"),
        (connected("opcua", securityPolicy="smoke"), "connection.securityPolicy"),
        (pointed("opcua", nodeId="Speed"), "dataPoints[0].nodeId"),
        (connected("mqtt", qos=3), "connection.qos"),
        (connected("mqtt", topic=""), "connection.topic"),
        (connected("snmp", host=None), "connection.host"),
        (connected("snmp", version="4"), "connection.version"),
        (connected("snmp", version="v3"), "connection.username"),
        (connected("snmp", version=3, user="x", level="smoke"), "connection.level"),
        (pointed("snmp", oid="sysUpTime"), "dataPoints[0].oid"),
        (connected("bacnet", deviceInstance=None), "connection.deviceInstance"),
        (connected("bacnet", deviceInstance=4_194_303), "connection.deviceInstance"),
        (pointed("bacnet", objectInstance=-1), "dataPoints[0].objectInstance"),
        (connected("can", interface=None), "connection.interface"),
        (connected("can", bitrate=10), "connection.bitrate"),
        (pointed("can", canId=0x20000000), "dataPoints[0].canId"),
    ],
)
def test_what_breaks_a_rule_is_named_by_its_path(found: dict[str, Any], path: str) -> None:
    assert paths(found) == [path]


def test_a_writable_coil_and_a_writable_holding_register_pass() -> None:
    for table in ("coil", "holding"):
        assert sensor_problems(pointed(type=table, writable=True)) == []
    assert sensor_problems(pointed(type=None, functionCode=1, writable=True)) == []


def test_a_serial_connection_needs_no_host() -> None:
    serial = {"serialPort": "/dev/ttyUSB0", "baudRate": 9600, "parity": "even", "dataBits": 8}
    assert sensor_problems(endpoint(connection=serial)) == []


def test_at_most_fifty_problems_are_told() -> None:
    bad = [{"name": f"p{number}", "address": -1} for number in range(200)]
    assert len(sensor_problems(endpoint(dataPoints=bad))) == 50


def test_only_what_finds_its_points_by_itself_may_have_none() -> None:
    silent = {name: points_missing(endpoint(name, dataPoints=[])) for name in CONNECTIONS}
    assert silent == {name: name not in {"opcua", "mqtt"} for name in CONNECTIONS}
    target = CONNECTIONS["modbus"] | {"slaveRange": "1-10"}
    assert not points_missing(endpoint(connection=target, dataPoints=[]))
