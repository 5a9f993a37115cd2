"""What agents tell beside readings and state: events, update progress, status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tortoise import fields

from core.clock import micros
from models.base import TenantModel
from models.connection import fetch, json_text


class AgentEvent(TenantModel):
    """One message on `events/+`, `agent/+` or `jobs/+/update`, kept as it came.

    `dedup_key` is the sender's message id, or a digest of the message: QoS 1 and retained
    messages arrive again, and the second arrival must change nothing.
    """

    noun = "agent event"

    id = fields.BigIntField(primary_key=True)
    agent_id = fields.IntField()
    channel = fields.CharField(max_length=200)
    dedup_key = fields.CharField(max_length=200)
    payload: fields.Field[object] = fields.JSONField()
    received_at = fields.DatetimeField()

    class Meta:
        table = "agent_event"
        unique_together = (("tenant_id", "agent_id", "dedup_key"),)


class LogBatch(TenantModel):
    """A log batch that was stored; the same id again is answered, not stored."""

    noun = "log batch"

    id = fields.BigIntField(primary_key=True)
    agent_id = fields.IntField()
    batch_id = fields.CharField(max_length=200)
    line_count = fields.IntField()
    received_at = fields.DatetimeField()

    class Meta:
        table = "log_batch"
        unique_together = (("tenant_id", "agent_id", "batch_id"),)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to keep. With `repeats_rightly` only the same again in a row is a repeat."""

    channel: str
    dedup_key: str
    repeats_rightly: bool
    payload: object


async def append_event(tenant_id: int, agent_id: int, event: NewEvent, now: datetime) -> bool:
    """Keep an event unless it is a repeat; returns whether it was kept. One statement.

    Raises InvalidInput for a payload that is nested too deeply.
    """
    suffix = f":{micros(now)}" if event.repeats_rightly else ""
    rows = await fetch(
        "insert into agent_event"
        " (tenant_id, agent_id, channel, dedup_key, payload, received_at)"
        " select $1, $2, $3::text, $4::text || $5, $6::jsonb, $7"
        " where $5 = '' or not exists (select from (select dedup_key from agent_event"
        " where tenant_id = $1 and agent_id = $2 and channel = $3::text order by id desc limit 1) last"
        " where starts_with(last.dedup_key, $4))"
        " on conflict (tenant_id, agent_id, dedup_key) do nothing returning id",
        tenant_id,
        agent_id,
        event.channel,
        event.dedup_key,
        suffix,
        json_text(event.payload, "payload"),
        now,
    )
    return bool(rows)
