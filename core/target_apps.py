"""Single apps as operators send them, brought into the form in which agents read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.errors import InvalidInput

_OF_THE_CONTAINER: Final = (
    *("image", "ports", "environment", "volumes", "networks", "networkMode", "restart"),
)


def app_of(
    app_id: int,
    name: str | None,
    services: object,
    *,
    present: Mapping[str, Any] | None,
    next_id: Callable[[], int],
) -> dict[str, Any]:
    """Return a whole app; what is None stays as in the `present` one.

    Members of a service that agents look for in its `config` may stand beside it. A service keeps
    the id that it has under its name; a new one gets `next_id()`.
    """
    known = dict(present or {})
    name = name or known.get("appName") or f"app-{app_id}"
    if services is None:
        listed = known.get("services", [])
    elif isinstance(services, list):
        ids = {each.get("serviceName"): each.get("serviceId") for each in _objects(known)}
        listed = [
            _service(app_id, name, service, f"services[{index}]", ids, next_id)
            for index, service in enumerate(services)
        ]
    else:
        raise InvalidInput("services", "must be an array")
    listed = [each | {"appName": name} if isinstance(each, dict) else each for each in listed]
    return known | {"appId": app_id, "appName": name, "services": listed}


def new_services(services: object, present: Mapping[str, Any] | None) -> int:
    """Return how many of the services have no id yet."""
    named = {
        each.get("serviceName")
        for each in _objects(present or {})
        if each.get("serviceId") is not None
    }
    return sum(
        isinstance(each, dict)
        and each.get("serviceId") is None
        and str(each.get("serviceName")) not in named
        for each in (services if isinstance(services, list) else ())
    )


def with_image(app: Mapping[str, Any], service_name: str, image: str) -> dict[str, Any] | None:
    """Return the app with another image for one of its services; None when it has none such."""
    services = _objects(app)
    if not any(each.get("serviceName") == service_name for each in services):
        return None
    changed = [
        {**each, "imageName": image, "config": {**(each.get("config") or {}), "image": image}}
        if each.get("serviceName") == service_name
        else each
        for each in services
    ]
    return {**app, "services": changed}


def _service(
    app_id: int,
    app_name: str,
    service: object,
    path: str,
    ids: Mapping[object, object],
    next_id: Callable[[], int],
) -> dict[str, Any]:
    if not isinstance(service, dict):
        raise InvalidInput(path, "must be an object")
    config = service.get("config", {})
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise InvalidInput(f"{path}.config", "must be an object")
    beside = {name: service[name] for name in _OF_THE_CONTAINER if service.get(name) is not None}
    config = {**config, **beside}
    image = service.get("imageName") or config.get("image")
    if image is not None:
        config.setdefault("image", image)
    rest = {key: value for key, value in service.items() if key not in _OF_THE_CONTAINER}
    service_id = service.get("serviceId")
    if service_id is None:
        service_id = ids.get(str(service.get("serviceName")))
    if image is not None:
        rest["imageName"] = image
    return rest | {
        "serviceId": next_id() if service_id is None else service_id,
        "appId": app_id,
        "appName": app_name,
        "state": service.get("state") or "running",
        "config": config,
    }


def _objects(app: Mapping[str, Any]) -> list[dict[str, Any]]:
    services = app.get("services")
    return (
        [each for each in services if isinstance(each, dict)] if isinstance(services, list) else []
    )
