"""The tag under which an agent knows its target state."""

from __future__ import annotations

import hashlib

import orjson

from core.errors import InvalidInput


def canonical_json(value: object, field: str) -> bytes:
    """Return `value` as JSON with sorted keys; equal values give equal bytes.

    Raises InvalidInput naming `field` for what JSON cannot carry.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, f"is not JSON: {error}") from None


def state_etag(apps: object, config: object) -> str:
    """Return 40 hex digits that differ exactly when apps or config do.

    The version is no part of it: an agent applies only what differs, and a tag that moves
    without a difference would have the whole fleet fetch the same document again.
    """
    text = canonical_json([apps, config], "apps")
    return hashlib.sha256(text).hexdigest()[:40]
