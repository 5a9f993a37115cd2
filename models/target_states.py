"""Target states: what should run on each agent."""

from __future__ import annotations

from datetime import datetime

from tortoise import fields

from models.base import TenantModel
from models.connection import fetch, json_text


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


async def put_first_state(
    tenant_id: int, agent_id: int, config: dict[str, object], etag: str, now: datetime
) -> None:
    """Give an agent its first target state, unless it has one."""
    await fetch(
        "insert into target_state (tenant_id, agent_id, version, apps, config, etag, updated_at)"
        " values ($1, $2, 1, '{}'::jsonb, $3::jsonb, $4, $5)"
        " on conflict (tenant_id, agent_id) do nothing",
        tenant_id,
        agent_id,
        json_text(config, "config"),
        etag,
        now,
    )
