"""Signs of life of the program's own parts, to know later how long they were away."""

from __future__ import annotations

from tortoise import fields

from models.base import GlobalModel


class Heartbeat(GlobalModel):
    """When a part of the program last said that it works."""

    name = fields.CharField(max_length=100, primary_key=True)
    beat_at = fields.DatetimeField()

    class Meta:
        table = "heartbeat"
