"""What is known of the broker: one row per part that tells."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tortoise import fields

from models.base import GlobalModel
from models.connection import fetch, json_text


class BrokerStatus(GlobalModel):
    """What a part of the program told last, and when."""

    name = fields.CharField(max_length=100, primary_key=True)
    value: fields.Field[dict[str, Any]] = fields.JSONField()
    at = fields.DatetimeField()

    class Meta:
        table = "broker_status"


async def find_status(name: str) -> BrokerStatus | None:
    """Return what was told last under this name."""
    return await BrokerStatus.get_or_none(name=name)


async def put_status(name: str, value: dict[str, Any], now: datetime) -> None:
    """Keep the newest; of two programs that tell, the later one stands."""
    await fetch(
        "insert into broker_status as s (name, value, at) values ($1, $2::jsonb, $3)"
        " on conflict (name) do update set value = excluded.value, at = excluded.at"
        " where s.at <= excluded.at",
        name,
        json_text(value, "value"),
        now,
    )
