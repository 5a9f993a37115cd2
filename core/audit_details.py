"""What an audit row tells beside its columns: masked, and bounded in size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import orjson

from core.audit import AuditEntry
from core.masking import CUT, masked

DETAILS_BYTES_MAX: Final = 16_384
STATE_BYTES_MAX: Final = 4_096
"""Up to here `before` and `after` are kept whole; beyond, their digest, size and difference."""

CHANGES_MAX: Final = 50
MEMBERS_MAX: Final = 24
_CHANGE_BYTES_MAX: Final = 100


def details_json(entry: AuditEntry) -> str:
    """Return the entry's details, with `before`, `after` or what differs, as JSON text."""
    told: dict[str, object] = {}
    before = None if entry.before is None else _of(entry.before)
    after = None if entry.after is None else _of(entry.after)
    is_big = any(len(_json(each)) > STATE_BYTES_MAX for each in (before, after) if each)
    if is_big and before is not None and after is not None:
        found = list(islice(_changes("", before, after), CHANGES_MAX + 1))
        told["changes"] = found[:CHANGES_MAX]
        told["more_changes"] = len(found) > CHANGES_MAX
    for name, state in (("before", before), ("after", after)):
        if state is not None:
            told[name] = _digest(state) if is_big else state
    told |= {key: value for key, value in _of(entry.details).items() if key not in told}
    text = _json(told)
    if len(text) > DETAILS_BYTES_MAX:
        text = _json({key: _small(value, 256) for key, value in islice(told.items(), MEMBERS_MAX)})
    return text.decode()


def _of(value: Mapping[str, object]) -> dict[str, object]:
    found = masked(value)
    assert isinstance(found, dict)
    return found


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _digest(value: object) -> dict[str, object]:
    """Masked values are digested: a digest of a weak secret would give it away."""
    text = _json(value)
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}


def _small(value: object, bytes_max: int) -> object:
    return value if len(_json(value)) <= bytes_max else _digest(value)


def _changes(path: str, before: object, after: object) -> Iterator[dict[str, object]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _changes(f"{path}.{key}"[-300:], before.get(key), after.get(key))
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(f"{path}[{at}]", old, new)
        return
    yield {
        "path": path.removeprefix("."),
        "before": _told_change(before),
        "after": _told_change(after),
    }


def _told_change(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _CHANGE_BYTES_MAX else value[:_CHANGE_BYTES_MAX] + CUT
    return _small(value, _CHANGE_BYTES_MAX)
