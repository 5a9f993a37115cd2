"""Endpoints in target states and in reports: what they say, and how far an agent has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from core.masking import MASK, clean_text, masked
from core.sensor_rules import POINT_SPELLINGS, POLL_SPELLINGS, is_scan_target

ATTEMPTS_MAX: Final = 3
"""So many reports may lack what their version asks for before it counts as failed."""

ERROR_CHARS_MAX: Final = 1_000
KEPT: Final = (
    "An agent keeps its last endpoint. It is told to stop reading this one, and forgets it as soon "
    "as it has another."
)
KEPT_BY_AGENT: Final = (
    "An agent keeps its endpoints while its list is empty, and goes on reading them until it is "
    "given another."
)
_FAILED: Final = frozenset({"error", "failed"})
_FLAG: Final = "pendingDeletion"


class EndpointStatus(StrEnum):
    """How far an endpoint is on its way to its agent."""

    DRAFT = "draft"
    PENDING = "pending"
    DEPLOYED = "deployed"
    FAILED = "failed"
    PENDING_DELETION = "pending_deletion"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an endpoint stands, and what went wrong."""

    status: EndpointStatus
    attempts: int = 0
    error: str | None = None


def entries_of(config: Mapping[str, Any] | None, key: str = "uuid") -> dict[UUID, dict[str, Any]]:
    """Return a configuration's endpoints by uuid; reports have it under `id`."""
    endpoints = config.get("endpoints") if config else None
    found: dict[UUID, dict[str, Any]] = {}
    for entry in endpoints if isinstance(endpoints, list) else []:
        uuid = as_uuid(entry.get(key)) if isinstance(entry, dict) else None
        if uuid is not None:
            found[uuid] = entry
    return found


def as_uuid(value: object) -> UUID | None:
    """Return the UUID in a text of 36 characters; None for anything else."""
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


def is_leaving(entry: Mapping[str, Any]) -> bool:
    """Whether an endpoint was deleted and only stays because it is the agent's last."""
    metadata = entry.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get(_FLAG) is True


def leaving(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an endpoint as it stays in the target state after its deletion: not to be read."""
    metadata = entry.get("metadata")
    held = dict(metadata) if isinstance(metadata, Mapping) else {}
    return {**entry, "enabled": False, "metadata": held | {_FLAG: True}}


def without(endpoints: list[Any], uuid: UUID) -> list[Any]:
    """Return the list without one endpoint, or with it switched off if it was the last real one.

    Agents take an empty list for "keep what you have", and scan targets are no endpoints to them.
    """
    rest = [entry for entry in endpoints if as_uuid(_member(entry, "uuid")) != uuid]
    if any(_is_read(entry) for entry in rest):
        return settled(rest)
    return [
        leaving(entry) if as_uuid(_member(entry, "uuid")) == uuid else entry for entry in endpoints
    ]


def settled(endpoints: list[Any]) -> list[Any]:
    """Return the list without endpoints that only waited for another to take their place."""
    if not any(_is_read(entry) for entry in endpoints):
        return endpoints
    return [entry for entry in endpoints if not isinstance(entry, dict) or not is_leaving(entry)]


def _is_read(entry: object) -> bool:
    return isinstance(entry, dict) and not is_leaving(entry) and not is_scan_target(entry)


def _member(entry: object, name: str) -> object:
    return entry.get(name) if isinstance(entry, dict) else None


def enabled(entry: Mapping[str, Any]) -> bool:
    """Whether an endpoint is read; it is unless it says otherwise."""
    return entry.get("enabled") is not False


def spelt(entry: Mapping[str, Any], spellings: tuple[str, ...]) -> Any:
    """Return a member by the first of its spellings that is there."""
    return next((entry[name] for name in spellings if entry.get(name) is not None), None)


def points_of(entry: Mapping[str, Any]) -> list[Any]:
    """Return an endpoint's data points, however they are spelt."""
    points = spelt(entry, POINT_SPELLINGS)
    return points if isinstance(points, list) else []


def judged(
    now: Standing,
    entry: Mapping[str, Any],
    reported: Mapping[str, Any] | None,
    health: Mapping[str, Any] | None,
    *,
    has_applied: bool,
) -> Standing:
    """Return where an endpoint of the target state stands after a report.

    `reported` is the endpoint as the agent shows it, `health` what it last said of it;
    `has_applied` tells that the report is about this version of the target, or a later one.
    """
    failure = failure_of(reported, health)
    if is_leaving(entry):
        return replace(now, status=EndpointStatus.PENDING_DELETION, error=KEPT)
    difference = difference_of(entry, reported) if not is_scan_target(entry) else None
    if is_scan_target(entry) and not has_applied:
        return now
    if difference is None:
        status = EndpointStatus.FAILED if failure else EndpointStatus.DEPLOYED
        return Standing(status, 0, failure)
    if not has_applied:
        return now
    attempts = min(now.attempts + 1, ATTEMPTS_MAX)
    status = EndpointStatus.FAILED if attempts == ATTEMPTS_MAX else EndpointStatus.PENDING
    return Standing(status, attempts, failure or difference)


def failure_of(reported: Mapping[str, Any] | None, health: Mapping[str, Any] | None) -> str | None:
    """Return what an agent says went wrong; a device that does not answer is no such failure."""
    told = spelt(reported or {}, ("error", "deploymentError"))
    if told is None and health and str(health.get("status")).lower() in _FAILED:
        told = health.get("lastError") or "The agent reports an error"
    if not told:
        return None
    return clean_text(str(masked(told)), ERROR_CHARS_MAX)


def difference_of(entry: Mapping[str, Any], reported: Mapping[str, Any] | None) -> str | None:
    """Return in what an agent's endpoint is not what it should be; None when it is.

    Agents fill in defaults and keep points that they found, so only what both sides say counts.
    """
    if reported is None:
        return "The agent has applied the target state and does not show this endpoint"
    for name in _differing(entry, reported):
        return f"The agent has applied the target state and shows another {name}"
    return None


def _differing(entry: Mapping[str, Any], reported: Mapping[str, Any]) -> Iterator[str]:
    for name in ("name", "protocol"):
        if reported.get(name) != entry.get(name):
            yield name
    if enabled(reported) != enabled(entry):
        yield "value of enabled"
    interval, shown = spelt(entry, POLL_SPELLINGS), spelt(reported, POLL_SPELLINGS)
    if _contradict(interval, shown):
        yield "poll interval"
    if _contradict(entry.get("connection"), _reported_connection(reported)):
        yield "connection"
    points = {_member(point, "name"): point for point in points_of(reported)}
    if points and any(
        _member(point, "name") not in points or _contradict(point, points[_member(point, "name")])
        for point in points_of(entry)
    ):
        yield "list of points"


def _reported_connection(reported: Mapping[str, Any]) -> Any:
    text = reported.get("connectionString")
    if not isinstance(text, str):
        return reported.get("connection")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _contradict(wanted: object, shown: object) -> bool:
    """Whether two values differ in something that both name and neither masks."""
    if wanted is None or shown is None or MASK in (wanted, shown):
        return False
    if isinstance(wanted, Mapping) and isinstance(shown, Mapping):
        return any(_contradict(wanted[name], shown.get(name)) for name in wanted)
    return wanted != shown
