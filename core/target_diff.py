"""What differs between two target states, as a bounded list of changes without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from core.masking import MASK, masked, names_secret
from core.target_documents import short

CHANGES_MAX: Final = 200
VALUE_CHARS_MAX: Final = 1_000

_KEYS: Final = ("uuid", "serviceName", "name", "id")
"""By these, the first that all have, objects in two lists are taken for the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `path` as RFC 6901 says, of the place in the newer document if it is there.

    `op` is add, remove or replace.
    """

    path: str
    op: str
    before: object = None
    after: object = None


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs; not all of it when there is too much."""

    changes: list[Change]
    is_complete: bool


def diff_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Diff:
    """Return what differs, in the order of sorted keys; secrets show as `***`."""
    found = list(islice(_differences("", before, after, is_secret=False), CHANGES_MAX + 1))
    return Diff(found[:CHANGES_MAX], len(found) <= CHANGES_MAX)


def _differences(path: str, before: object, after: object, *, is_secret: bool) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_objects(path, before, after, is_secret=is_secret)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(path, before, after, is_secret=is_secret)
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield Change(path, "replace", _told(before, is_secret), _told(after, is_secret))


def _of_objects(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], *, is_secret: bool
) -> Iterator[Change]:
    is_pair = any(names_secret(str(each.get("name", ""))) for each in (before, after))
    for key in sorted({*before, *after}):
        below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        hidden = is_secret or names_secret(key) or (is_pair and key == "value")
        if key not in after:
            yield Change(below, "remove", _told(before[key], hidden))
        elif key not in before:
            yield Change(below, "add", after=_told(after[key], hidden))
        else:
            yield from _differences(below, before[key], after[key], is_secret=hidden)


def _of_lists(
    path: str, before: Sequence[Any], after: Sequence[Any], *, is_secret: bool
) -> Iterator[Change]:
    olds, news = _by_key(before, after)
    for key, (index, value) in olds.items():
        if key not in news:
            yield Change(f"{path}/{index}", "remove", _told(value, is_secret))
    for key, (index, value) in news.items():
        below = f"{path}/{index}"
        if key in olds:
            yield from _differences(below, olds[key][1], value, is_secret=is_secret)
        else:
            yield Change(below, "add", after=_told(value, is_secret))


Placed = dict[object, tuple[int, Any]]


def _by_key(before: Sequence[Any], after: Sequence[Any]) -> tuple[Placed, Placed]:
    """Return the items of both lists by what tells that they are the same, else by their place."""
    for name in _KEYS:
        placed = [
            {each[name]: (index, each) for index, each in enumerate(items)}
            for items in (before, after)
            if all(isinstance(each, Mapping) and isinstance(each.get(name), str) for each in items)
        ]
        if [len(each) for each in placed] == [len(before), len(after)]:
            return placed[0], placed[1]
    return dict(enumerate(enumerate(before))), dict(enumerate(enumerate(after)))


def _told(value: object, is_secret: bool) -> object:
    if value is None or isinstance(value, bool):
        return value
    return MASK if is_secret else short(masked(value), VALUE_CHARS_MAX)
