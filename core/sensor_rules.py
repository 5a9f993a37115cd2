"""What an endpoint has to be before an agent is told to read it.

Spellings are those that agents accept; members that are not known here pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from core.protocol_rules import PROTOCOLS, connection_problems, is_scan_target, point_problems
from core.value_rules import Problem, any_text, exactly, flag, needed, optional, text, whole

__all__ = ["POINT_SPELLINGS", "PROTOCOLS", "is_scan_target", "points_missing", "sensor_problems"]

NAME_CHARS_MAX: Final = 255
POLL_MS_MIN: Final = 50
POLL_MS_MAX: Final = 86_400_000
POINTS_MAX: Final = 5_000
PROBLEMS_MAX: Final = 50
POINT_SPELLINGS: Final = ("dataPoints", "data_points", "registers")
POLL_SPELLINGS: Final = ("pollInterval", "poll_interval")

_FOUND_BY_THE_AGENT: Final = frozenset({"opcua", "mqtt"})
"""Protocols whose points an agent finds by itself."""

_COMMON: Final = (
    needed(text(NAME_CHARS_MAX), "name"),
    needed(exactly(*PROTOCOLS), "protocol"),
    optional(flag, "enabled"),
    optional(whole(POLL_MS_MIN, POLL_MS_MAX), *POLL_SPELLINGS),
    optional(any_text, "location"),
)


def sensor_problems(endpoint: Mapping[str, object]) -> list[Problem]:
    """Return the path below the endpoint and the reason of each thing that is wrong with it.

    Its `uuid` is left to the document. Points may be missing: an agent then keeps those that it
    has (see `points_missing`). At most 50 problems are told.
    """
    found: list[Problem] = []
    for problem in _problems(endpoint):
        found.append(problem)
        if len(found) == PROBLEMS_MAX:
            break
    return found


def points_missing(endpoint: Mapping[str, object]) -> bool:
    """Whether an endpoint would have nothing to read: no points, and none that are found."""
    if endpoint.get("protocol") in _FOUND_BY_THE_AGENT or is_scan_target(endpoint):
        return False
    return not any(endpoint.get(name) for name in POINT_SPELLINGS)


def _problems(endpoint: Mapping[str, object]) -> Iterator[Problem]:
    for member in _COMMON:
        yield from member.problems(endpoint, "")
    protocol = endpoint.get("protocol")
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        return
    yield from _connection(protocol, endpoint)
    yield from _metadata(endpoint)
    for spelling in POINT_SPELLINGS:
        if endpoint.get(spelling) is not None:
            yield from _points(protocol, endpoint[spelling], spelling)


def _connection(protocol: str, endpoint: Mapping[str, object]) -> Iterator[Problem]:
    connection = endpoint.get("connection")
    if not isinstance(connection, Mapping):
        yield "connection", "is required" if connection is None else "must be an object"
    else:
        yield from connection_problems(protocol, connection)


def _metadata(endpoint: Mapping[str, object]) -> Iterator[Problem]:
    if not isinstance(endpoint.get("metadata") or {}, Mapping):
        yield "metadata", "must be an object"


def _points(protocol: str, points: object, spelling: str) -> Iterator[Problem]:
    if not isinstance(points, list):
        yield spelling, "must be an array"
        return
    if len(points) > POINTS_MAX:
        yield spelling, f"must have at most {POINTS_MAX} points"
        return
    names: set[str] = set()
    for index, point in enumerate(points):
        path = f"{spelling}[{index}]"
        if not isinstance(point, Mapping):
            yield path, "must be an object"
            continue
        yield from point_problems(protocol, point, f"{path}.")
        name = point.get("name")
        if isinstance(name, str) and name in names:
            yield f"{path}.name", f"{name[:80]!r} appears twice"
        names.add(str(name))
