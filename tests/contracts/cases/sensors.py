"""Sensors, their health and its history."""

from __future__ import annotations

from typing import Any

from tests.contracts.cases.world import Case, World, nothing


def _named(name: str) -> dict[str, Any]:
    return {"path": {"deviceName": name}}


def _new(_: World) -> dict[str, Any]:
    return {"json": {"name": "gauge", "protocol": "mqtt", "connection": {}, "pollInterval": 900}}


CASES: dict[str, Case] = {
    "AddSensor": _new,
    "ResetSensorCredentials": lambda _: _named("gauge"),
    "UpdateSensor": lambda _: {"json": {"pollInterval": 1_000}, **_named("gauge")},
    "DeleteSensor": lambda _: _named("gauge"),
    "ListSensors": nothing,
    "GetSensorHealth": nothing,
    "ListAdapterHistory": lambda _: {"path": {"protocol": "mqtt", "deviceName": "gauge"}},
}

ORDER = ("AddSensor", "ResetSensorCredentials", "UpdateSensor", "DeleteSensor")
