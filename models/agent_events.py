"""What agents tell beside readings and state: events, update progress, status."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


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
