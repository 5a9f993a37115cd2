"""What a target state has to be before it is stored: bounds on what agents read, section by section.

Members that no agent is known to read pass untouched: agents store and report them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from core.sensor_rules import sensor_problems
from core.value_rules import (
    Problem,
    any_text,
    exactly,
    flag,
    like,
    needed,
    optional,
    text,
    whole,
)

APP_ID_MAX: Final = 2**53
SERVICE_STATES: Final = ("running", "stopped", "paused")
LOG_LEVELS: Final = ("trace", "debug", "info", "warn", "error")
INTERVALS: Final = (
    "targetStatePollIntervalMs",
    "reportIntervalMs",
    "metricsIntervalMs",
    "reconciliationIntervalMs",
)
INTERVAL_MS_MIN: Final = 1_000
INTERVAL_MS_MAX: Final = 86_400_000

_RANGE: Final = r"\d{1,5}(-\d{1,5})?"
_PORT: Final = like(
    rf"((\d{{1,3}}(\.\d{{1,3}}){{3}}|\[[0-9a-f:]+\]):)?({_RANGE}:)?{_RANGE}(/(tcp|udp|sctp))?",
    "a port such as 80, 8080:80 or 127.0.0.1:8080:80/tcp",
)
_APP: Final = (optional(text(255), "appName"),)
_SERVICE: Final = (
    needed(text(255), "serviceName"),
    optional(whole(1, APP_ID_MAX), "serviceId"),
    optional(text(500), "imageName"),
    optional(text(255), "appName"),
    optional(exactly(*SERVICE_STATES), "state"),
)
_CONTAINER: Final = (
    optional(text(500), "image"),
    optional(text(100), "networkMode"),
    optional(
        like(r"no|always|unless-stopped|on-failure(:\d{1,4})?", "a restart policy of containers"),
        "restart",
    ),
)
_LOGGING: Final = (
    optional(exactly(*LOG_LEVELS), "level"),
    optional(flag, "enableCompression"),
    optional(flag, "enableRemoteLogging"),
    optional(flag, "enableFilePersistence"),
    optional(whole(1_000, 300_000), "logFlushIntervalMs"),
    optional(whole(1, 1_000), "logBatchSize"),
    optional(whole(1, 10_000_000), "maxLogs"),
    optional(whole(1, 2**53), "logMaxAge"),
    optional(whole(1, 2**53), "maxLogFileSize"),
)
_INTERVALS: Final = tuple(
    optional(whole(INTERVAL_MS_MIN, INTERVAL_MS_MAX), name) for name in INTERVALS
)


def app_problems(apps: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what is wrong with apps that are keyed by id."""
    for key, app in apps.items():
        path = f"apps.{key}"
        if not (key.isascii() and key.isdecimal() and len(key) < 17):
            yield path, "apps are keyed by their id, a whole number"
        elif isinstance(app, Mapping):
            if str(app.get("appId", key)) != key or isinstance(app.get("appId"), str | float):
                yield f"{path}.appId", f"must be {key}, under which the app stands"
            for member in _APP:
                yield from member.problems(app, f"{path}.")
            yield from _services(key, app.get("services"), f"{path}.services")


def _services(app_id: str, services: object, path: str) -> Iterator[Problem]:
    if services is None:
        return
    if not isinstance(services, list):
        yield path, "must be an array"
        return
    seen: set[object] = set()
    for index, service in enumerate(services):
        at = f"{path}[{index}]"
        if not isinstance(service, Mapping):
            yield at, "must be an object"
            continue
        for member in _SERVICE:
            yield from member.problems(service, f"{at}.")
        if service.get("appId") is not None and str(service["appId"]) != app_id:
            yield f"{at}.appId", f"must be {app_id}, the app that the service is part of"
        for name in ("serviceName", "serviceId"):
            value = service.get(name)
            if isinstance(value, str | int):
                if (name, value) in seen:
                    yield f"{at}.{name}", f"{str(value)[:80]} appears twice"
                seen.add((name, value))
        yield from _container(service.get("config"), f"{at}.config")


def _container(config: object, path: str) -> Iterator[Problem]:
    if config is None:
        return
    if not isinstance(config, Mapping):
        yield path, "must be an object"
        return
    for member in _CONTAINER:
        yield from member.problems(config, f"{path}.")
    yield from _ports(config.get("ports"), f"{path}.ports")
    for name in ("volumes", "networks"):
        yield from _texts(config.get(name), f"{path}.{name}")
    environment = config.get("environment")
    if isinstance(environment, Mapping):
        for name, value in environment.items():
            if isinstance(value, Mapping | list):
                yield f"{path}.environment.{name}", "must be a text, a number, or true or false"
    else:
        yield from _texts(environment, f"{path}.environment")


def _ports(ports: object, path: str) -> Iterator[Problem]:
    if ports is None:
        return
    if not isinstance(ports, list):
        yield path, "must be an array"
        return
    for index, port in enumerate(ports):
        told = str(port) if isinstance(port, int) and not isinstance(port, bool) else port
        problem = _PORT(told)
        if problem is None and not all(1 <= number <= 65_535 for number in _numbers(str(told))):
            problem = "ports are from 1 to 65535"
        if problem:
            yield f"{path}[{index}]", problem


def _numbers(port: str) -> Iterator[int]:
    """Yield the port numbers in a mapping of ports, without the address before them."""
    parts = port.partition("/")[0].rpartition("]:")[2].split(":")
    for part in parts:
        if "." not in part:
            yield from map(int, part.split("-"))


def _texts(values: object, path: str) -> Iterator[Problem]:
    if values is None:
        return
    if not isinstance(values, list):
        yield path, "must be an array of texts"
        return
    for index, value in enumerate(values):
        problem = any_text(value)
        if problem:
            yield f"{path}[{index}]", problem


def config_problems(config: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what is wrong with a configuration."""
    for name, check in _SECTIONS.items():
        section = config.get(name)
        if section is None:
            continue
        if isinstance(section, Mapping):
            yield from check(section, f"config.{name}")
        else:
            yield f"config.{name}", "must be an object"
    if "endpoints" in config:
        yield from _endpoints(config["endpoints"])


def _intervals(section: Mapping[str, object], path: str) -> Iterator[Problem]:
    nested = section.get("agent")
    if nested is not None and not isinstance(nested, Mapping):
        yield f"{path}.agent", "must be an object"
        nested = None
    for member in _INTERVALS:
        yield from member.problems(section, f"{path}.")
        yield from member.problems(nested or {}, f"{path}.agent.")


def _logging(section: Mapping[str, object], path: str) -> Iterator[Problem]:
    for member in _LOGGING:
        yield from member.problems(section, f"{path}.")


def _flags(section: Mapping[str, object], path: str) -> Iterator[Problem]:
    for name, value in section.items():
        problem = flag(value)
        if problem:
            yield f"{path}.{name}", problem


def _publish(section: Mapping[str, object], path: str) -> Iterator[Problem]:
    yield from optional(flag, "enabled").problems(section, f"{path}.")


def _anything(_section: Mapping[str, object], _path: str) -> Iterator[Problem]:
    return iter(())


_SECTIONS: Final = {
    "intervals": _intervals,
    "logging": _logging,
    "features": _flags,
    "publish": _publish,
    "agent": _anything,
    "protocols": _anything,
}


def _endpoints(endpoints: object) -> Iterator[Problem]:
    """Agents skip an endpoint without `uuid`, and break on a connection that is a text."""
    if not isinstance(endpoints, list):
        yield "config.endpoints", "must be an array"
        return
    uuids: set[UUID] = set()
    names: set[str] = set()
    for index, endpoint in enumerate(endpoints):
        path = f"config.endpoints[{index}]"
        if not isinstance(endpoint, Mapping):
            yield path, "must be an object"
            continue
        uuid, name = _uuid(endpoint.get("uuid")), endpoint.get("name")
        if uuid is None:
            yield f"{path}.uuid", "must be a UUID"
        elif uuid in uuids:
            yield f"{path}.uuid", f"{uuid} appears twice"
        else:
            uuids.add(uuid)
        if isinstance(name, str):
            if name in names:
                yield f"{path}.name", f"{name[:80]!r} appears twice"
            names.add(name)
        for below, reason in sensor_problems(endpoint):
            yield f"{path}.{below}", reason


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None
