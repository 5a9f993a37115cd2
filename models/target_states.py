"""Target states: what should run on each agent."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class TargetState(TenantModel):
    """The document an agent polls. `etag` covers apps and config and nothing else."""

    noun = "target state"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    version = fields.IntField()
    apps: fields.Field[dict[str, object]] = fields.JSONField()
    config: fields.Field[dict[str, object]] = fields.JSONField()
    etag = fields.CharField(max_length=64)
    updated_at = fields.DatetimeField()
    updated_by = fields.UUIDField(default=None, null=True)

    class Meta:
        table = "target_state"
        unique_together = (("tenant_id", "agent_id"),)
