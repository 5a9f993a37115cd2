"""Tags: short texts by key, with which people sort agents and fleets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from core.errors import InvalidInput

TAGS_MAX: Final = 64
KEY_CHARS_MAX: Final = 100
VALUE_CHARS_MAX: Final = 255

_KEY: Final = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

KEY_RULE: Final = (
    "a key has 2 to 100 lower-case letters, digits, dots, dashes and underscores,"
    " and begins and ends with a letter or digit"
)
VALUE_RULE: Final = "a value has 1 to 255 characters, none of them a control character"


def is_key(text: str) -> bool:
    """Whether `text` may be the key of a tag."""
    return len(text) <= KEY_CHARS_MAX and _KEY.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Whether `text` may be the value of a tag."""
    return 1 <= len(text) <= VALUE_CHARS_MAX and _CONTROL.search(text) is None


def checked_tags(tags: object, field: str = "tags") -> dict[str, str]:
    """Return an object of texts as tags; raises InvalidInput with the path of what is wrong."""
    if not isinstance(tags, Mapping):
        raise InvalidInput(field, "must be an object of texts by key")
    if len(tags) > TAGS_MAX:
        raise InvalidInput(field, f"must have at most {TAGS_MAX} tags", limit=TAGS_MAX)
    for key, value in tags.items():
        _check_key(key, field)
        if not isinstance(value, str) or not is_value(value):
            raise InvalidInput(f"{field}.{key}", VALUE_RULE)
    return dict(tags)


def checked_keys(keys: Collection[str], field: str) -> list[str]:
    """Return keys of tags, each once; raises InvalidInput."""
    if len(keys) > TAGS_MAX:
        raise InvalidInput(field, f"must have at most {TAGS_MAX} keys", limit=TAGS_MAX)
    for key in keys:
        _check_key(key, field)
    return sorted(set(keys))


def _check_key(key: object, field: str) -> None:
    if not isinstance(key, str) or not is_key(key):
        shown = str(key)[:KEY_CHARS_MAX].encode(errors="replace").decode()
        raise InvalidInput(field, f"{KEY_RULE}; not {shown!r}")
