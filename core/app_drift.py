"""Apps that should run against apps that do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.differences import Difference, DifferenceKind, unequal


def app_differences(wanted: Mapping[str, Any], reported: Mapping[str, Any]) -> list[Difference]:
    """Return where apps differ, by app id and service name."""
    found: list[Difference] = []
    for app_id in sorted(wanted.keys() | reported.keys()):
        path = f"apps.{app_id}"
        if app_id not in reported:
            found.append(Difference(DifferenceKind.APP_MISSING, path, _name(wanted[app_id])))
        elif app_id not in wanted:
            name = _name(reported[app_id])
            found.append(Difference(DifferenceKind.APP_UNEXPECTED, path, reported=name))
        else:
            found += _services(path, services_of(wanted[app_id]), services_of(reported[app_id]))
    return found


def services_of(app: object) -> dict[str, dict[str, Any]]:
    """Return an app's services by name."""
    services = app.get("services") if isinstance(app, dict) else None
    items = services if isinstance(services, list) else []
    return {
        str(each.get("serviceName") or each.get("serviceId")): each
        for each in items
        if isinstance(each, dict)
    }


def image_of(service: Mapping[str, Any]) -> str | None:
    """Return the image a service is made of."""
    config = service.get("config")
    image = config.get("image") if isinstance(config, dict) else None
    image = image or service.get("imageName")
    return image if isinstance(image, str) else None


def state_of(service: Mapping[str, Any]) -> str | None:
    """Return whether a service runs, in its container's word where there is one."""
    state = service.get("status") or service.get("state")
    return state if isinstance(state, str) else None


def _services(
    path: str, wanted: dict[str, dict[str, Any]], reported: dict[str, dict[str, Any]]
) -> Iterator[Difference]:
    for name in sorted(wanted.keys() | reported.keys()):
        place = f"{path}.services.{name}"
        if name not in reported:
            yield Difference(DifferenceKind.SERVICE_MISSING, place, image_of(wanted[name]))
        elif name not in wanted:
            image = image_of(reported[name])
            yield Difference(DifferenceKind.SERVICE_UNEXPECTED, place, reported=image)
        else:
            yield from _service(place, wanted[name], reported[name])


def _service(path: str, wanted: dict[str, Any], reported: dict[str, Any]) -> Iterator[Difference]:
    images = image_of(wanted), image_of(reported)
    if all(images) and _full(images[0] or "") != _full(images[1] or ""):
        yield Difference(DifferenceKind.SERVICE_IMAGE, f"{path}.image", *images)
    state = wanted.get("state") or "running"
    if state_of(reported) is not None and _runs(state) is not _runs(state_of(reported) or ""):
        yield Difference(DifferenceKind.SERVICE_STATE, f"{path}.state", state, state_of(reported))
    configs = [dict(each["config"]) for each in (wanted, reported) if _has_config(each)]
    if len(configs) == 2:
        for config in configs:
            config.pop("image", None)
        yield from unequal(DifferenceKind.SERVICE_CONFIG, f"{path}.config", *configs)


def _has_config(service: Mapping[str, Any]) -> bool:
    return isinstance(service.get("config"), dict)


def _runs(state: object) -> bool:
    """Docker says `running`, or `Up 5 minutes (healthy)`."""
    words = str(state).lower().split()
    return bool(words) and words[0] in {"running", "up", "healthy"}


def _full(image: str) -> str:
    """Return an image's name with what Docker takes for granted."""
    image = image.removeprefix("docker.io/").removeprefix("library/")
    return image if ":" in image.rsplit("/", 1)[-1] or "@" in image else f"{image}:latest"


def _name(app: object) -> object:
    return app.get("appName") if isinstance(app, dict) else None
