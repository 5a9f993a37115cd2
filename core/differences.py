"""One difference between what is wanted and what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from core.masking import masked

DIFFERENCES_MAX: Final = 100


class DifferenceKind(StrEnum):
    """What is not as it should be."""

    APP_MISSING = "app_missing"
    APP_UNEXPECTED = "app_unexpected"
    SERVICE_MISSING = "service_missing"
    SERVICE_UNEXPECTED = "service_unexpected"
    SERVICE_IMAGE = "service_image"
    SERVICE_STATE = "service_state"
    SERVICE_CONFIG = "service_config"
    ENDPOINT_MISSING = "endpoint_missing"
    ENDPOINT_UNEXPECTED = "endpoint_unexpected"
    ENDPOINT_CHANGED = "endpoint_changed"
    AGENT_VERSION = "agent_version"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something at `path` of the target state that is reported otherwise; no secrets."""

    kind: DifferenceKind
    path: str
    wanted: object = None
    reported: object = None


def unequal(
    kind: DifferenceKind, path: str, wanted: dict[str, Any], reported: dict[str, Any]
) -> list[Difference]:
    """Return the members that both name with different values.

    An agent leaves out some members and adds others by itself; neither is a difference.
    """
    found = []
    for name in wanted.keys() & reported.keys():
        if not same(wanted[name], reported[name]):
            shown = masked({"wanted": {name: wanted[name]}, "reported": {name: reported[name]}})
            assert isinstance(shown, dict)
            pair = (shown["wanted"][name], shown["reported"][name])
            found.append(Difference(kind, f"{path}.{name}", *pair))
    return sorted(found, key=lambda each: each.path)


def same(wanted: object, reported: object) -> bool:
    """Whether a reported value is the wanted one: objects may say more, and lists any order."""
    if isinstance(wanted, dict) and isinstance(reported, dict):
        return all(same(wanted[name], reported[name]) for name in wanted.keys() & reported.keys())
    if isinstance(wanted, list) and isinstance(reported, list):
        return all(any(same(each, other) for other in reported) for each in wanted)
    if isinstance(wanted, bool) or isinstance(reported, bool):
        return wanted is reported
    return wanted == reported
