"""Endpoints as people see them: their secrets masked, their members under one spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from core.endpoint_health import ReportedHealth
from core.masking import masked
from core.sensor_rules import POLL_SPELLINGS
from core.sensors import points_of, spelt

Health = TypeVar("Health", bound=ReportedHealth)


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint's members; `poll_interval` in ms."""

    poll_interval: int | None
    connection: object
    data_points: object
    metadata: object


def shown(entry: Mapping[str, Any]) -> Shown:
    """Return an endpoint of a target state without its secrets."""
    interval = spelt(entry, POLL_SPELLINGS)
    return Shown(
        poll_interval=interval if isinstance(interval, int) else None,
        connection=masked(entry.get("connection") or {}),
        data_points=masked(points_of(entry)),
        metadata=masked(entry.get("metadata") or {}),
    )


def health_of(name: str, health: Sequence[Health]) -> Health | None:
    """Return what was reported under a name."""
    return next((each for each in health if each.name == name), None)


def last_telemetry(uuid: object, name: str, times: Mapping[str, datetime]) -> datetime | None:
    """Return when an endpoint last sent a reading; series know its uuid, or only its name."""
    return times.get(str(uuid)) or times.get(name)
