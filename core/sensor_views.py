"""Endpoints as people see them: their secrets masked, their members under one spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from core.endpoint_health import ReportedHealth
from core.masking import masked
from core.sensor_rules import POLL_SPELLINGS
from core.sensors import points_of, spelt

Health = TypeVar("Health", bound=ReportedHealth)


def poll_interval(entry: Mapping[str, Any]) -> int | None:
    """Return how often an endpoint is read, in ms."""
    interval = spelt(entry, POLL_SPELLINGS)
    return interval if isinstance(interval, int) else None


def connection(entry: Mapping[str, Any]) -> object:
    """Return how an endpoint is reached, without secrets."""
    return masked(entry.get("connection") or {})


def data_points(entry: Mapping[str, Any]) -> object:
    """Return what is read of an endpoint, without secrets."""
    return masked(points_of(entry))


def metadata(entry: Mapping[str, Any]) -> object:
    """Return what people noted of an endpoint, without secrets."""
    return masked(entry.get("metadata") or {})


def health_of(name: str, health: Sequence[Health]) -> Health | None:
    """Return what was reported under a name."""
    return next((each for each in health if each.name == name), None)


def last_telemetry(uuid: object, name: str, times: Mapping[str, datetime]) -> datetime | None:
    """Return when an endpoint last sent a reading; series know its uuid, or only its name."""
    return times.get(str(uuid)) or times.get(name)
