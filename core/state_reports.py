"""What an agent reports about itself: its state report, taken apart without ever being strict.

An agent falls silent after two errors in a row, so a part of the wrong type is left out and
noted instead of refused. What is absent is unchanged, not cleared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.errors import InvalidInput
from core.payloads import Undecodable, storable

TEXT_CHARS_MAX: Final = 1_000
PROBLEMS_MAX: Final = 50
VERSION_MAX: Final = 2**31 - 1

_METRICS: Final = {
    "cpu_usage": "cpu_usage",
    "memory_usage": "memory_usage",
    "memory_total": "memory_total",
    "storage_usage": "storage_usage",
    "storage_total": "storage_total",
    "cpu_temp": "cpu_temp",
    "temperature": "cpu_temp",
    "uptime": "uptime",
}
_KNOWN: Final = {
    *_METRICS,
    "version",
    "apps",
    "config",
    "endpoints_health",
    "devices",
    "network_interfaces",
    "local_ip",
    "os_version",
    "agent_version",
    "architecture",
    "is_online",
}


@dataclass(frozen=True, slots=True)
class StateReport:
    """One report; None wherever the agent said nothing.

    Attributes:
        is_replay: it has no version at all, so it waited in the agent's queue and may be older
            than what is stored: it must touch neither values nor liveness.
        version: version of the target state that the agent works on; None, too, when what it
            said is no number. An agent takes what is below 1 for 1.
        apps: running applications by id.
        config: the configuration as the agent has it.
        metrics: of the gateway, by name: `cpu_usage` in percent, `memory_usage`,
            `memory_total`, `storage_usage`, `storage_total` in MB, `cpu_temp` in °C, `uptime`
            in seconds.
        endpoints_health: health by endpoint name.
        devices: devices that the agent found.
        network_interfaces: the gateway's.
        extra: everything else, by key.
        body: the whole report as it can be stored.
        problems: what was left out, and why.
    """

    is_replay: bool
    version: int | None
    apps: dict[str, Any] | None
    config: dict[str, Any] | None
    metrics: dict[str, float]
    endpoints_health: dict[str, dict[str, Any]] | None
    devices: list[dict[str, Any]] | None
    network_interfaces: list[dict[str, Any]] | None
    local_ip: str | None
    os_version: str | None
    agent_version: str | None
    architecture: str | None
    is_online: bool | None
    extra: dict[str, Any]
    body: dict[str, Any]
    problems: tuple[str, ...]


def parse_state_report(obj: object, agent: UUID) -> StateReport:
    """Take a decoded report apart: `{"<agent uuid>": {…}}`, or the inner object alone.

    Raises InvalidInput for what is no object, and for a report of another agent or of several.
    """
    fields = _own_fields(obj, agent)
    take = _Taker(fields)
    version = take.integer("version")
    return StateReport(
        is_replay=fields.get("version") is None,
        version=None if version is None else max(1, min(version, VERSION_MAX)),
        apps=take.mapping("apps"),
        config=take.mapping("config"),
        metrics=take.metrics(),
        endpoints_health=take.mapping_of_mappings("endpoints_health"),
        devices=take.mappings("devices"),
        network_interfaces=take.mappings("network_interfaces"),
        local_ip=take.text("local_ip"),
        os_version=take.text("os_version"),
        agent_version=take.text("agent_version"),
        architecture=take.text("architecture"),
        is_online=take.boolean("is_online"),
        extra={key: value for key, value in fields.items() if key not in _KNOWN},
        body=fields,
        problems=tuple(take.problems[:PROBLEMS_MAX]),
    )


def _own_fields(obj: object, agent: UUID) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise InvalidInput("body", "must be an object keyed by the agent's uuid")
    fields: dict[Any, Any] = obj
    keys = {key: uuid for key in fields if (uuid := _uuid(key)) is not None}
    if len(keys) > 1:
        raise InvalidInput("body", f"reports {len(keys)} agents; one is allowed")
    for key, uuid in keys.items():
        if uuid != agent:
            raise InvalidInput("body", f"is a report of agent {uuid}, not of {agent}")
        inner = fields[key]
        if not isinstance(inner, dict):
            raise InvalidInput(str(uuid), "must be an object")
        fields = {name: value for name, value in fields.items() if name != key} | inner
    try:
        clean: dict[str, Any] = storable(fields)
    except Undecodable as error:
        raise InvalidInput("body", error.reason) from None
    return clean


def _uuid(key: object) -> UUID | None:
    if not isinstance(key, str) or len(key) != 36:
        return None
    try:
        return UUID(key)
    except ValueError:
        return None


class _Taker:
    """Takes values of the right type out of an object, and notes the others."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self.problems: list[str] = []

    def integer(self, key: str) -> int | None:
        value = self.number(key)
        if value is None or not self._fits(key, value, value == int(value)):
            return None
        return int(value)

    def number(self, key: str) -> float | None:
        value = self._fields.get(key)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return value if self._fits(key, value, fits) else None

    def boolean(self, key: str) -> bool | None:
        value = self._fields.get(key)
        return value if self._fits(key, value, isinstance(value, bool)) else None

    def text(self, key: str) -> str | None:
        value = self._fields.get(key)
        fits = isinstance(value, str) and len(value) <= TEXT_CHARS_MAX
        return value if self._fits(key, value, fits) else None

    def mapping(self, key: str) -> dict[str, Any] | None:
        value = self._fields.get(key)
        return value if self._fits(key, value, isinstance(value, dict)) else None

    def mapping_of_mappings(self, key: str) -> dict[str, dict[str, Any]] | None:
        found = self.mapping(key)
        if found is None:
            return None
        return {name: item for name, item in found.items() if self._is_mapping(key, name, item)}

    def mappings(self, key: str) -> list[dict[str, Any]] | None:
        value = self._fields.get(key)
        if not self._fits(key, value, isinstance(value, list)) or value is None:
            return None
        return [item for index, item in enumerate(value) if self._is_mapping(key, index, item)]

    def metrics(self) -> dict[str, float]:
        values = ((name, self.number(key)) for key, name in _METRICS.items())
        return {name: float(value) for name, value in values if value is not None}

    def _is_mapping(self, key: str, name: object, item: object) -> bool:
        return self._fits(f"{key}.{str(name)[:80]}", item or "", isinstance(item, dict))

    def _fits(self, key: str, value: Any, fits: bool) -> bool:
        if not fits and value is not None:
            self.problems.append(f"{key}: unusable value of type {type(value).__name__}")
        return fits
