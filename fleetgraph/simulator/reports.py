"""State reports: the first one full, later ones with what changed."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from fleetgraph.simulator.cloud import OS_VERSION
from fleetgraph.simulator.noise import gauss, key_of
from fleetgraph.simulator.readings import Source

_NOT_REPLAYED = {"version", "endpoints_health", "network_interfaces", "architecture"}


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How one endpoint fares; moments as ISO text."""

    source: Source
    last_poll: str | None
    last_seen: str | None
    errors: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What an agent knows of itself.

    Attributes:
        version: of the target state.
        config: as `reported_config` shows it.
        apps: running applications by id.
        health: how its own endpoints fare.
        unanswered: endpoints from the target state; no device of the plant answers there.
        agent_version: what it runs.
    """

    version: int
    config: dict[str, Any]
    apps: dict[str, Any]
    health: list[SourceHealth]
    unanswered: list[dict[str, Any]]
    agent_version: str


class Reporter:
    """Builds the reports of one agent and remembers what the cloud has got."""

    def __init__(self, agent_uuid: str, *, metrics_seconds: float) -> None:
        self.metrics_seconds = metrics_seconds
        self._uuid = agent_uuid
        self._key = key_of(agent_uuid, "metrics")
        self._started: float | None = None
        self._metrics_due = 0.0
        self._delivered: dict[str, Any] = {}

    def build(self, now: float, known: Facts, *, forced: bool = False) -> dict[str, Any]:
        """Return a report keyed by the agent's uuid. `now` is in epoch seconds."""
        if self._started is None:
            self._started = now
        state: dict[str, Any] = {"apps": known.apps, "is_online": True, "version": known.version}
        facts = {
            "config": known.config,
            "devices": [_device(one) for one in known.health],
            "os_version": OS_VERSION,
            "agent_version": known.agent_version,
            "architecture": "x64",
        }
        told = {} if forced else self._delivered
        state |= {key: value for key, value in facts.items() if told.get(key) != value}
        state["endpoints_health"] = {
            **{str(one.get("name")): _no_answer(one) for one in known.unanswered},
            **{one.source.name: _health(one) for one in known.health},
        }
        if now >= self._metrics_due:
            state |= self._metrics(now)
            if told.get("local_ip") != "192.0.2.10":
                state["local_ip"] = "192.0.2.10"
        return {self._uuid: state}

    def forget_delivered(self) -> None:
        """Begin anew with a full report."""
        self._started, self._metrics_due, self._delivered = None, 0.0, {}

    def delivered(self, report: dict[str, Any], now: float) -> None:
        """Remember that the cloud has got a report."""
        state = report[self._uuid]
        self._delivered |= copy.deepcopy(state)
        if "cpu_usage" in state:
            self._metrics_due = now + self.metrics_seconds

    def _metrics(self, now: float) -> dict[str, Any]:
        assert self._started is not None
        minute = int(now // 60)
        return {
            "cpu_usage": max(1, min(99, round(22 + 6 * gauss(self._key, minute)))),
            "memory_usage": round(412 + 15 * gauss(self._key ^ 1, minute)),
            "memory_total": 3906,
            "storage_usage": 8120 + minute % 500,
            "storage_total": 29_600,
            "temperature": round(47 + 2 * gauss(self._key ^ 2, minute)),
            "uptime": int(now - self._started) + 1,
            "network_interfaces": [_interface(self._uuid)],
        }


def stripped(report: dict[str, Any]) -> dict[str, Any]:
    """Return a failed report as it is kept for a later replay: without what would mislead."""
    return {
        uuid: {key: value for key, value in state.items() if key not in _NOT_REPLAYED}
        for uuid, state in report.items()
    }


def reported_config(
    target: dict[str, Any], endpoints: Iterable[dict[str, Any]], sources: list[Source]
) -> dict[str, Any]:
    """Return the configuration as an agent shows it: endpoints with `id` and a text connection.

    The agent's own endpoints come first; those that it took over from the target follow.
    """
    own = [_own_endpoint(source) for source in sources]
    names = {source.name for source in sources}
    others = [_shown_endpoint(each) for each in endpoints if each.get("name") not in names]
    return target | {"endpoints": own + others}


def _own_endpoint(source: Source) -> dict[str, Any]:
    points = [
        {"name": name, "address": 2 * number, "type": "holding", "unit": unit}
        for number, (name, unit) in enumerate(source.metrics)
    ]
    return {
        "id": source.uuid,
        "name": source.name,
        "protocol": source.protocol,
        "connectionString": '{"type":"tcp","host":"192.0.2.20","port":502,"slaveId":1}',
        "pollInterval": 1000,
        "enabled": True,
        "metadata": {},
        "dataPoints": points,
    }


def _shown_endpoint(endpoint: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in endpoint.items() if key not in {"uuid", "connection"}}
    connection = orjson.dumps(endpoint.get("connection", {})).decode()
    return {"id": endpoint["uuid"], **shown, "connectionString": connection, "metadata": {}}


def _device(one: SourceHealth) -> dict[str, Any]:
    return {
        "uuid": one.source.uuid,
        "endpoint_uuid": one.source.uuid,
        "name": one.source.name,
        "protocol": one.source.protocol,
        "identifier": "1",
        "enabled": True,
    }


def _health(one: SourceHealth) -> dict[str, Any]:
    online = one.last_seen is not None and one.last_seen == one.last_poll
    return {
        "protocol": one.source.protocol,
        "status": "online" if online else "offline",
        "connected": online if one.last_poll else None,
        "lastPoll": one.last_poll,
        "lastSeen": one.last_seen,
        "errorCount": one.errors,
        "lastError": None if online or not one.last_poll else "DEVICE_OFFLINE",
        "responseTimeMs": 12 if online else None,
        "pollSuccessRate": 1 if online else 0,
        "registersUpdated": len(one.source.metrics) if online else 0,
        "communicationQuality": "good" if online else "offline",
    }


def _no_answer(endpoint: dict[str, Any]) -> dict[str, Any]:
    return {
        "protocol": endpoint.get("protocol"),
        "status": "offline",
        "connected": False,
        "lastPoll": None,
        "lastSeen": None,
        "errorCount": 1,
        "lastError": "DEVICE_OFFLINE",
    }


def _interface(uuid: str) -> dict[str, Any]:
    return {
        "name": "eth0",
        "ip4": "192.0.2.10",
        "ip6": "2001:db8::10",
        "mac": ":".join(("02", "00", "5e", uuid[0:2], uuid[2:4], uuid[4:6])),
        "type": "wired",
        "default": True,
        "virtual": False,
        "operstate": "up",
    }
