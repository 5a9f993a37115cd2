"""What the root fields about sensors are called with: see tests/contracts/field_cases.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def _sensor(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid, "name": it.mark}


def _new(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    values = {"name": "new", "protocol": "mqtt", "connection": {"topic": "hall/1"}}
    return {"agentUuid": it.uuid, "sensor": values}


def _new_again(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    values = {"name": "new again", "protocol": "mqtt", "connection": {}}
    return {"agentUuid": it.uuid, "sensor": values, "uuid": it.uuid}


SENSORS: dict[str, Arguments] = {
    "Query.sensor": _sensor,
    "Query.sensors": lambda it, _: {"filter": {"agentUuid": it.uuid}},
    "Query.sensorCounts": lambda _it, _me: {},
    "Query.sensorHealth": lambda it, _: {"agentUuid": it.uuid},
    "Query.adapterHistory": lambda it, me: {**_sensor(it, me), "protocol": "mqtt"},
    "Mutation.addSensor": _new,
    "Mutation.updateSensor": lambda it, me: {**_sensor(it, me), "sensor": {"pollInterval": 900}},
    "Mutation.deleteSensor": _sensor,
    "Mutation.resetSensorCredentials": _sensor,
}

_FILTERED: list[Arguments] = [
    lambda it, _: {"filter": {"agentUuid": it.uuid}},
    lambda it, _: {"filter": {"text": it.mark}},
    lambda it, _: {"filter": {"agents": {"fleetUuid": str(it.fleet.id)}}},
    lambda it, _: {"filter": {"agents": {"selector": f"site={it.mark}"}}},
]

MORE_SENSORS: dict[str, list[Arguments]] = {
    "Query.sensors": _FILTERED,
    "Query.sensorCounts": _FILTERED,
    "Mutation.deleteSensor": [lambda it, me: {**_sensor(it, me), "hard": True}],
    "Mutation.addSensor": [_new_again, lambda it, me: {**_new_again(it, me), "validateOnly": True}],
}
