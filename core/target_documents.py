"""Target states as operators send them: checked, and brought into the form agents read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from core.errors import InvalidInput, PayloadTooLarge
from core.etag import canonical_json


def checked_document(
    apps: object, config: object | None, *, bytes_max: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return apps keyed by id, and the configuration.

    `apps` is an object keyed by app id or an array of objects with `appId`. Raises InvalidInput
    with the path of what is wrong, PayloadTooLarge beyond `bytes_max` bytes of JSON.
    """
    keyed = _apps(apps)
    settings = {} if config is None else _object(config, "config")
    if "endpoints" in settings:
        _check_endpoints(settings["endpoints"])
    size = 0
    for field, part in (("apps", keyed), ("config", settings)):
        text = canonical_json(part, field)
        if b"\\u0000" in text:
            raise InvalidInput(field, "has a NUL character, which cannot be stored")
        size += len(text)
    if size > bytes_max:
        raise PayloadTooLarge("The target state", limit_bytes=bytes_max)
    return keyed, settings


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


def _check_endpoints(endpoints: object) -> None:
    """Agents skip an endpoint without `uuid`, and break on a connection that is a text."""
    if not isinstance(endpoints, list):
        raise InvalidInput("config.endpoints", "must be an array")
    seen: set[UUID] = set()
    for index, item in enumerate(endpoints):
        path = f"config.endpoints[{index}]"
        endpoint = _object(item, path)
        uuid = _uuid(endpoint.get("uuid"), f"{path}.uuid")
        if uuid in seen:
            raise InvalidInput(f"{path}.uuid", f"{uuid} appears twice")
        seen.add(uuid)
        _object(endpoint.get("connection"), f"{path}.connection")


def _uuid(value: object, path: str) -> UUID:
    try:
        if isinstance(value, str) and len(value) == 36:
            return UUID(value)
    except ValueError:
        pass
    raise InvalidInput(path, "must be a UUID")


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(path, "is required" if value is None else "must be an object")
    return value
