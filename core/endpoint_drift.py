"""Endpoints that should be on an agent against those that it reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.differences import Difference, DifferenceKind, same, unequal
from core.masking import masked
from core.reported_endpoints import (
    connection_of,
    endpoint_key,
    endpoints_of,
    interval_of,
    is_scan_target,
    points_of,
)


def keeps_endpoints(config: Mapping[str, Any]) -> bool:
    """Whether an agent that gets this configuration keeps the endpoints that it has."""
    return not endpoints_of(config)


def endpoint_differences(
    wanted: Mapping[str, Any], reported: Mapping[str, Any] | None
) -> list[Difference]:
    """Return where endpoints differ, by name; none when either side names no list.

    An empty list in the target is no wish: the agent keeps what it has. A scan target never
    becomes an endpoint, and what a scan finds is not unexpected.
    """
    targets, present = endpoints_of(wanted), endpoints_of(reported)
    if not targets or present is None:
        return []
    scanned = {each.get("protocol") for each in targets if is_scan_target(each)}
    expected = {endpoint_key(each): each for each in targets if not is_scan_target(each)}
    found: list[Difference] = []
    there = {endpoint_key(each): each for each in present}
    for key, target in expected.items():
        if key in there:
            found += _endpoint(_path(target), target, there[key])
        else:
            kind = DifferenceKind.ENDPOINT_MISSING
            found.append(Difference(kind, _path(target), target.get("protocol")))
    found += [
        Difference(DifferenceKind.ENDPOINT_UNEXPECTED, _path(each), reported=each.get("protocol"))
        for key, each in there.items()
        if key not in expected and each.get("protocol") not in scanned
    ]
    return sorted(found, key=lambda each: each.path)


def _path(endpoint: Mapping[str, Any]) -> str:
    return f"config.endpoints.{endpoint.get('name') or endpoint_key(endpoint)}"


def _endpoint(path: str, wanted: dict[str, Any], reported: dict[str, Any]) -> Iterator[Difference]:
    kind = DifferenceKind.ENDPOINT_CHANGED
    for name in ("name", "protocol"):
        if name in wanted and name in reported and wanted[name] != reported[name]:
            yield Difference(kind, f"{path}.{name}", wanted[name], reported[name])
    enabled = wanted.get("enabled", True), reported.get("enabled", True)
    if enabled[0] != enabled[1]:
        yield Difference(kind, f"{path}.enabled", *enabled)
    intervals = interval_of(wanted), interval_of(reported)
    if None not in intervals and intervals[0] != intervals[1]:
        yield Difference(kind, f"{path}.pollInterval", *intervals)
    connections = connection_of(wanted), connection_of(reported)
    if connections[0] is not None and connections[1] is not None:
        yield from unequal(kind, f"{path}.connection", connections[0], connections[1])
    yield from _points(f"{path}.dataPoints", points_of(wanted), points_of(reported))


def _points(
    path: str, wanted: list[dict[str, Any]], reported: list[dict[str, Any]]
) -> Iterator[Difference]:
    """An empty list keeps the points that the agent found by itself."""
    if not wanted:
        return
    kind = DifferenceKind.ENDPOINT_CHANGED
    expected = {str(each.get("name")): each for each in wanted}
    there = {str(each.get("name")): each for each in reported}
    for name in sorted(expected.keys() | there.keys()):
        point, told = expected.get(name), there.get(name)
        if point is None or told is None or not same(point, told):
            yield Difference(kind, f"{path}.{name}", masked(point), masked(told))
