"""The target state as an agent takes it over, with all that it keeps, skips and forgets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson

Warn = Callable[[str], None]


class Target:
    """What one agent was told to be: version, configuration, endpoints by uuid."""

    def __init__(self, warn: Warn) -> None:
        """`warn` hears what is skipped, and why."""
        self.version = 1  # what agents report before they have seen a target
        self.config: dict[str, Any] = {}
        self.apps: dict[str, Any] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self._warn = warn

    def forget_version(self) -> None:
        """Begin again after a restart: what was taken over stays, its version is not known."""
        self.version = 1

    def apply(self, document: dict[str, Any]) -> bool:
        """Take a target over; returns whether anything has changed.

        An empty or missing list of endpoints keeps those that there are; one that is not empty
        replaces them.
        """
        version, config = _version(document), document.get("config") or {}
        apps = document.get("apps") or {}
        if (version, config, apps) == (self.version, self.config, self.apps):
            return False
        kept = {
            name: self.config[name]
            for name in ("anomalyDetection",)
            if name in self.config and name not in config
        }
        self.version, self.config, self.apps = version, copy.deepcopy(config) | kept, apps
        given = config.get("endpoints")
        if isinstance(given, list) and given:
            self.endpoints = {entry["uuid"]: entry for entry in given if self._is_usable(entry)}
        return True

    def seconds(self, name: str, default: float) -> float:
        """Return an interval of the configuration, given in milliseconds there."""
        intervals = self.config.get("intervals")
        value = intervals.get(name) if isinstance(intervals, dict) else None
        return max(value / 1000, 0.05) if isinstance(value, int | float) else default

    def _is_usable(self, entry: object) -> bool:
        if not isinstance(entry, dict) or not entry.get("uuid"):
            self._warn("endpoint without uuid skipped")
            return False
        if not isinstance(entry.get("connection"), dict):
            self._warn(f"endpoint {entry.get('name')} has no connection object, skipped")
            return False
        return True


def _version(document: dict[str, Any]) -> int:
    version = document.get("version")
    return version if isinstance(version, int) and version >= 1 else 1


def hinted_version(payload: bytes) -> int | None:
    """Return the version that a hint on `target-state` names."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return body.get("version") if isinstance(body, dict) else None
