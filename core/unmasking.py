"""Putting secrets back that an answer had masked, when a caller sends the answer in again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidInput
from core.masking import MASK, masked

_NAMES: Final = ("uuid", "id", "name")
_MASKED_USER: Final = re.compile(r"://" + re.escape(MASK) + "@")


def unmasked(new: Any, stored: Any, field: str) -> Any:
    """Return `new` with each part that looks as the masked stored one does replaced by that.

    Items of lists are found again by `uuid`, `id` or `name`, others by their place. Raises
    InvalidInput with the path of a mask that stands for nothing.
    """
    if stored is not None and new == masked(stored):
        return stored
    if isinstance(new, dict):
        return _unmasked_object(new, stored if isinstance(stored, Mapping) else {}, field)
    if isinstance(new, list):
        known = stored if isinstance(stored, list) else []
        return [
            unmasked(item, _counterpart(item, at, known), f"{field}[{at}]")
            for at, item in enumerate(new)
        ]
    if isinstance(new, str) and (new == MASK or _MASKED_USER.search(new)):
        raise InvalidInput(field, f"{MASK} stands for a secret, and none is stored here")
    return new


def _unmasked_object(new: dict[str, Any], stored: Mapping[str, Any], field: str) -> dict[str, Any]:
    # Whether a member is a secret shows from its name, so it is masked with its name.
    result = {}
    for name, value in new.items():
        held = stored.get(name)
        is_echo = held is not None and _shown(name, held) == value
        result[name] = held if is_echo else unmasked(value, held, f"{field}.{name}")
    return result


def _shown(name: str, value: object) -> object:
    shown = masked({name: value})
    return next(iter(shown.values())) if isinstance(shown, dict) else None


def _counterpart(item: object, at: int, known: list[Any]) -> Any:
    if isinstance(item, Mapping):
        for key in _NAMES:
            if item.get(key) is not None:
                found = (each for each in known if isinstance(each, Mapping))
                return next((each for each in found if each.get(key) == item[key]), None)
    return known[at] if at < len(known) else None
