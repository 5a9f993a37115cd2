"""How ids, moments and documents look on an agent's wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from core.mqtt_topics import encode_id


def topic_prefix(tenant_id: str, agent_uuid: str) -> str:
    """Return the beginning of every topic of an agent, without a slash at the end."""
    return f"i/{encode_id(tenant_id)}/a/{encode_id(agent_uuid)}"


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
