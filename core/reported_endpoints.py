"""Endpoints as target states name them and as agents report them, in one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from core.masking import MASK, masked

_POINTS: Final = ("dataPoints", "data_points", "registers")
_INTERVALS: Final = ("pollInterval", "poll_interval")


def endpoints_of(config: Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    """Return the endpoints of a configuration; None when it has no list of them."""
    found = None if config is None else config.get("endpoints")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else None


def endpoint_key(endpoint: Mapping[str, Any]) -> str:
    """Return what an endpoint is known by: a target says `uuid`, a report `id`; else its name."""
    return str(endpoint.get("uuid") or endpoint.get("id") or endpoint.get("name") or "").lower()


def connection_of(endpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the connection, which a report shows as a JSON text; None when it cannot be read."""
    connection = endpoint.get("connection")
    if not isinstance(connection, dict):
        connection = _parsed(endpoint.get("connectionString"))
    return connection if isinstance(connection, dict) else None


def points_of(endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the data points in whichever spelling."""
    found = _first(endpoint, _POINTS)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def interval_of(endpoint: Mapping[str, Any]) -> object:
    """Return the poll interval in whichever spelling."""
    return _first(endpoint, _INTERVALS)


def is_scan_target(endpoint: Mapping[str, Any]) -> bool:
    """Whether it only says where to look for devices; an agent never makes an endpoint of it."""
    return "slaveRange" in (connection_of(endpoint) or {})


def without_secrets(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a configuration whose endpoints' connections show no secret; the shape stays."""
    endpoints = None if config is None else config.get("endpoints")
    if config is None or not isinstance(endpoints, list):
        return config
    return config | {"endpoints": [_shown(each) for each in endpoints]}


def masked_report(shown: object) -> object:
    """Return a configuration from `without_secrets` with all else masked as well."""
    result = masked(shown)
    for before, after in zip(_listed(shown), _listed(result), strict=True):
        if isinstance(before, dict) and "connectionString" in before:
            after["connectionString"] = before["connectionString"]
    return result


def _listed(config: object) -> list[Any]:
    endpoints = config.get("endpoints") if isinstance(config, dict) else None
    return endpoints if isinstance(endpoints, list) else []


def _shown(endpoint: Any) -> Any:
    if not isinstance(endpoint, dict):
        return endpoint
    shown = dict(endpoint)
    for name in ("connection", "auth"):
        if name in shown:
            shown[name] = masked(shown[name])
    if "connectionString" in shown:
        connection = _parsed(shown["connectionString"])
        known = isinstance(connection, dict)
        shown["connectionString"] = orjson.dumps(masked(connection)).decode() if known else MASK
    return shown


def _parsed(text: object) -> object:
    if not isinstance(text, str):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _first(endpoint: Mapping[str, Any], names: tuple[str, ...]) -> object:
    return next((endpoint[name] for name in names if name in endpoint), None)
