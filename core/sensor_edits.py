"""Edits of the endpoints in a configuration: what is given goes in, all else stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from core.errors import Conflict, InvalidInput, NotFound
from core.masking import masked
from core.sensor_rules import POINT_SPELLINGS, POLL_SPELLINGS, points_missing, sensor_problems
from core.sensors import as_uuid, is_leaving, settled
from core.target_documents import refuse
from core.unmasking import unmasked
from core.value_rules import Problem

_SPELLINGS: Final = {"data_points": POINT_SPELLINGS, "poll_interval": POLL_SPELLINGS}
_BESIDE: Final = frozenset({"uuid", "location"})
"""What names an endpoint, and what its agent does not hear of."""


@dataclass(frozen=True, slots=True)
class SensorValues:
    """What is given of an endpoint; None leaves a member as it is.

    `poll_interval` is in ms. Parts of `connection`, `data_points` and `metadata` that were masked
    in an answer stand for what is stored.
    """

    name: object | None = None
    protocol: object | None = None
    connection: object | None = None
    data_points: object | None = None
    enabled: object | None = None
    poll_interval: object | None = None
    metadata: object | None = None
    location: str | None = None
    uuid: UUID | None = None

    def told(self) -> dict[str, Any]:
        """Return what is given, as people may see it."""
        given = {
            _SPELLINGS.get(each.name, (each.name,))[0]: getattr(self, each.name)
            for each in fields(self)
        }
        shown = masked({name: value for name, value in given.items() if value is not None})
        return dict(shown) if isinstance(shown, dict) else {}


def added(endpoints: Sequence[Any], uuid: UUID, values: SensorValues) -> list[Any]:
    """Return the list with one endpoint more; raises InvalidInput, Conflict for a name or uuid."""
    entry = _merged({"uuid": str(uuid), "enabled": True}, values)
    problems = sensor_problems(entry)
    if not problems and points_missing(entry):
        problems.append(("dataPoints", "must have at least one point"))
    rest = settled([*endpoints, entry])[:-1]
    _check(entry, rest, problems)
    return [*rest, entry]


def updated(endpoints: Sequence[Any], key: str, values: SensorValues) -> list[Any]:
    """Return the list with one endpoint changed; raises as `added` does, and NotFound."""
    at, before = found(endpoints, key)
    if is_leaving(before):
        raise Conflict(f"The sensor {key} is being deleted")
    entry = _merged(before, values)
    problems = sensor_problems(entry)
    if not problems and values.data_points is not None and points_missing(entry):
        problems.append(("dataPoints", "must have at least one point"))
    _check(entry, [*endpoints[:at], *endpoints[at + 1 :]], problems)
    return [*endpoints[:at], entry, *endpoints[at + 1 :]]


def found(endpoints: Sequence[Any], key: str) -> tuple[int, dict[str, Any]]:
    """Return place and endpoint of a name or uuid; raises NotFound."""
    entries = [
        (at, entry)
        for at, entry in enumerate(endpoints)
        if isinstance(entry, dict) and as_uuid(entry.get("uuid")) is not None
    ]
    uuid = as_uuid(key)
    named = [pair for pair in entries if pair[1].get("name") == key]
    for pair in [*(pair for pair in entries if as_uuid(pair[1]["uuid"]) == uuid), *named]:
        return pair
    raise NotFound("sensor", key)


def _merged(before: dict[str, Any], values: SensorValues) -> dict[str, Any]:
    entry = dict(before)
    for each in fields(values):
        value = getattr(values, each.name)
        if value is None or each.name in _BESIDE:
            continue
        spellings = _SPELLINGS.get(each.name, (each.name,))
        held = [name for name in spellings if entry.get(name) is not None]
        target = held[0] if held else spellings[0]
        entry[target] = unmasked(value, entry.get(target), target)
        for name in held[1:]:
            del entry[name]
    if is_leaving(entry):
        raise InvalidInput("metadata.pendingDeletion", "is set by deleting the sensor")
    return entry


def _check(entry: dict[str, Any], others: Sequence[Any], problems: list[Problem]) -> None:
    refuse(entry, problems)
    for other in others:
        if isinstance(other, dict) and other.get("name") == entry["name"]:
            raise Conflict(f"The agent has another sensor named {entry['name']}")
        if isinstance(other, dict) and as_uuid(other.get("uuid")) == as_uuid(entry["uuid"]):
            raise Conflict(f"The agent has another sensor with the uuid {entry['uuid']}")
