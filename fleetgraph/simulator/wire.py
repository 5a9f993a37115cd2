"""How ids, moments and documents look on an agent's wire."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

_TWELVE_HEX = re.compile(r"[0-9a-f]{12}", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def topic_id(identity: str) -> str:
    """Return a tenant's or agent's id as a topic segment.

    A UUID becomes 22 characters, twelve hex digits become 8, anything else stays as it is.
    """
    if _UUID.fullmatch(identity):
        raw = UUID(identity).bytes
    elif _TWELVE_HEX.fullmatch(identity):
        raw = bytes.fromhex(identity)
    else:
        return identity
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def topic_prefix(tenant_id: str, agent_uuid: str) -> str:
    """Return the beginning of every topic of an agent, without a slash at the end."""
    return f"i/{topic_id(tenant_id)}/a/{topic_id(agent_uuid)}"


def iso_ms(moment: datetime) -> str:
    """Return a UTC moment as `2026-03-01T10:05:24.000Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def epoch_ms(moment: datetime) -> int:
    """Return whole milliseconds since 1970-01-01 UTC."""
    return round(moment.timestamp() * 1000)


def to_json(document: Any) -> bytes:
    """Return a document as compact JSON, keys in their own order."""
    return orjson.dumps(document)


def to_sorted_json(document: Any) -> bytes:
    """Return a document as compact JSON with keys sorted, as state reports travel by MQTT."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
