"""Putting secrets back that an answer had masked, when a caller sends the answer in again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidInput
from core.etag import canonical_json
from core.masking import CUT, MASK, masked, shown_name

_KEYS: Final = ("uuid", "id", "serviceId", "serviceName", "appId", "name", "Name")

Pair = tuple[Any, Any]
"""A stored value, and how answers show it."""

_NOTHING: Final[Pair] = (None, None)


def unmasked(new: Any, stored: Any, field: str = "") -> Any:
    """Return `new` with each part that looks as the masked stored one does replaced by that.

    Members are found by name; items of lists by `uuid`, `id` and the like, others by how they are
    shown. Raises InvalidInput with the path, below `field`, of a mask that stands for nothing, or
    for any of several secrets.
    """
    text = canonical_json(new, field or "document")
    is_marked = MASK.encode() in text or CUT.encode() in text
    if not is_marked or text == canonical_json(stored, field):
        return new
    return _unmasked(new, (stored, masked(stored)), field)


def _unmasked(new: Any, held: Pair, field: str) -> Any:
    stored, shown = held
    if isinstance(new, dict):
        return _unmasked_object(new, held, field)
    if isinstance(new, list):
        return _unmasked_list(new, held, field)
    if not isinstance(new, str) or (isinstance(stored, str) and new == stored):
        return new
    if isinstance(shown, str) and new == shown:
        return stored
    return _without_mask(new, field)


def _without_mask(text: str, field: str) -> str:
    if MASK in text:
        raise InvalidInput(field, f"{MASK} stands for a secret, and none is stored here")
    return text


def _unmasked_object(new: dict[str, Any], held: Pair, field: str) -> dict[str, Any]:
    stored, shown = held
    known = stored if isinstance(stored, Mapping) and isinstance(shown, dict) else {}
    names = {shown_name(name): name for name in known}
    result = {}
    for name, value in new.items():
        path = f"{field}.{name}" if field else name
        kept = name if name in known else names.get(name)
        if kept is None:
            result[_without_mask(name, path)] = _unmasked(value, _NOTHING, path)
        else:
            result[kept] = _unmasked(value, (known[kept], shown[shown_name(kept)]), path)
    return result


def _unmasked_list(new: list[Any], held: Pair, field: str) -> list[Any]:
    stored, shown = held
    known: list[Pair] = []
    if isinstance(stored, list) and isinstance(shown, list):
        if canonical_json(new, field) == canonical_json(stored, field):
            return new
        known = list(zip(stored, shown, strict=True))
    result = []
    for at, (item, pair) in enumerate(zip(new, _counterparts(new, known, field), strict=True)):
        result.append(_unmasked(item, pair or _NOTHING, f"{field}[{at}]"))
    return result


def _counterparts(new: list[Any], known: list[Pair], field: str) -> list[Pair | None]:
    """Return for each item the stored one that it stands for."""
    if not known:
        return [None] * len(new)
    found = _by_look(new, known, field)
    taken = {id(pair) for pair in found if pair is not None}
    left = [None if id(pair) in taken else pair for pair in known]
    named: dict[tuple[str, bytes], list[Pair]] = defaultdict(list)
    for pair in known:
        for key in () if id(pair) in taken else _keys_of(pair[1]):
            named[key].append(pair)
    is_same = len(new) == len(known)
    for at, item in enumerate(new):
        if found[at] is not None:
            continue
        keys = _keys_of(item)
        if keys:
            alike = named.get(keys[0], [])
            found[at] = alike[0] if len(alike) == 1 else None
        elif is_same and isinstance(item, dict | list):
            # A text that is not shown so is another text, wherever it stands.
            found[at] = left[at]
    return found


def _by_look(new: list[Any], known: list[Pair], field: str) -> list[Pair | None]:
    """Return for each item the stored one that is shown so, or is so, if there is one."""
    alike: dict[bytes, list[Pair]] = defaultdict(list)
    for pair in known:
        for look in {canonical_json(each, field) for each in pair}:
            alike[look].append(pair)
    looks = [canonical_json(item, field) for item in new]
    wanted, seen = Counter(looks), Counter[bytes]()
    found: list[Pair | None] = []
    for at, look in enumerate(looks):
        pairs = alike.get(look, [])
        if wanted[look] != len(pairs) and len({canonical_json(p[0], field) for p in pairs}) > 1:
            raise InvalidInput(f"{field}[{at}]", f"{MASK} could stand for several secrets")
        # Of several that look alike, each is taken in its turn.
        found.append(pairs[min(seen[look], len(pairs) - 1)] if pairs else None)
        seen[look] += 1
    return found


def _keys_of(item: Any) -> list[tuple[str, bytes]]:
    """Return what names an item, the surest first."""
    if not isinstance(item, Mapping):
        return []
    return [(key, canonical_json(item[key], key)) for key in _KEYS if item.get(key) is not None]
