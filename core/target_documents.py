"""Target states as operators send them: checked, and brought into the form agents read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from core.errors import InvalidInput, PayloadTooLarge
from core.etag import canonical_json
from core.masking import CUT, MASK, masked, names_secret
from core.target_checks import app_problems, config_problems
from core.value_rules import Problem

ERRORS_MAX: Final = 100
"""So many problems are told of one document."""

VALUE_CHARS_MAX: Final = 200
_UPDATE_MEMBERS: Final = re.compile("version|update_.*")
_STEPS: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def checked_document(
    apps: object, config: object | None, *, bytes_max: int, config_is_known: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return apps keyed by id, and the configuration, both as agents may get them.

    Raises InvalidInput as `keyed_document` does, else with the fact `errors`, which lists every
    problem as `{field, message, value}`. A configuration that is known is not looked into.
    """
    keyed, settings = keyed_document(apps, config, bytes_max=bytes_max)
    found = [*islice(app_problems(keyed), ERRORS_MAX)]
    if not config_is_known:
        found += islice(config_problems(settings), ERRORS_MAX - len(found))
    refuse({"apps": keyed, "config": settings}, found)
    return keyed, settings


def keyed_document(
    apps: object, config: object | None, *, bytes_max: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return apps keyed by id, and the configuration; what they say is not looked into.

    `apps` is an object keyed by app id or an array of objects with `appId`. Raises InvalidInput
    with the path of what is of another kind, PayloadTooLarge beyond `bytes_max` bytes of JSON.
    """
    keyed = _apps(apps)
    settings = {} if config is None else _object(config, "config")
    size = 0
    for field, part in (("apps", keyed), ("config", settings)):
        text = canonical_json(part, field)
        if b"\\u0000" in text:
            raise InvalidInput(field, "has a NUL character, which cannot be stored")
        size += len(text)
    if size > bytes_max:
        raise PayloadTooLarge("The target state", limit_bytes=bytes_max)
    return keyed, settings


def refuse(document: dict[str, Any], problems: Iterable[Problem]) -> None:
    """Raise InvalidInput for all problems at once; nothing when there are none.

    Secret values are masked, long ones cut.
    """
    errors = [
        {"field": path, "message": reason, "value": _value_at(document, path)}
        for path, reason in problems
    ]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        field, reason = errors[0]["field"], errors[0]["message"]
        raise InvalidInput(str(field), f"{reason}{more}", errors=errors)


def update_problems(before: dict[str, Any], after: dict[str, Any]) -> list[Problem]:
    """Return the members of `config.agent` that would start an update of the agent's software.

    Whoever sends back what is there changes nothing.
    """
    known, wanted = _section(before, "agent"), _section(after, "agent")
    return [
        (
            f"config.agent.{name}",
            "an agent is updated with requestAgentUpdate, not by its configuration",
        )
        for name, value in wanted.items()
        if _UPDATE_MEMBERS.fullmatch(name) and known.get(name) != value
    ]


def consequences(config: Mapping[str, object]) -> list[str]:
    """Return what an agent makes of a configuration that its author may not expect."""
    found = []
    if not config.get("endpoints"):
        found.append("Without endpoints in the list, an agent keeps all endpoints that it has")
    if "anomalyDetection" not in config and "anomaly" not in config:
        found.append("Without anomalyDetection, an agent keeps the settings that it has for it")
    return found


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _apps(apps: object) -> dict[str, Any]:
    if isinstance(apps, list):
        return _keyed_apps(apps)
    for key, app in _object(apps, "apps").items():
        _object(app, f"apps.{key}")
    return _object(apps, "apps")


def _keyed_apps(apps: list[object]) -> dict[str, Any]:
    keyed: dict[str, Any] = {}
    for index, item in enumerate(apps):
        app = _object(item, f"apps[{index}]")
        app_id = app.get("appId")
        if not isinstance(app_id, int) or isinstance(app_id, bool):
            raise InvalidInput(f"apps[{index}].appId", "must be a whole number")
        if str(app_id) in keyed:
            raise InvalidInput(f"apps[{index}].appId", f"{app_id} appears twice")
        keyed[str(app_id)] = app
    return keyed


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(path, "is required" if value is None else "must be an object")
    return value


def _value_at(document: object, path: str) -> object:
    value, is_secret = document, False
    for name, index in _STEPS.findall(path):
        if isinstance(value, dict):
            value, is_secret = value.get(name), is_secret or names_secret(name)
        elif isinstance(value, list) and index and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    if value is None or isinstance(value, bool):
        return value
    return MASK if is_secret else short(masked(value), VALUE_CHARS_MAX)


def short(value: object, chars_max: int) -> object:
    """Return a value as it is, or the beginning of its JSON when that is too long."""
    text = orjson.dumps(value).decode()
    return value if len(text) <= chars_max else text[: chars_max - 1] + CUT


def keeping_update(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return `after` with the members of `config.agent` that start an update as in `before`."""
    kept = {k: v for k, v in _section(before, "agent").items() if _UPDATE_MEMBERS.fullmatch(k)}
    rest = {k: v for k, v in _section(after, "agent").items() if not _UPDATE_MEMBERS.fullmatch(k)}
    if "agent" not in after and not kept:
        return after
    return after | {"agent": rest | kept}
