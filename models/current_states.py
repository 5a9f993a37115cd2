"""Current states: what each agent last reported, merged from its partial reports."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class CurrentState(TenantModel):
    """The merged report of one agent; a member an agent left out keeps its last value.

    `diverged_at` is since when it differs from the target state, as found when it last changed or
    was first compared with the version `compared_version` of the target; None while it does not.
    """

    noun = "current state"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    version = fields.IntField(null=True)
    apps: fields.Field[dict[str, object]] = fields.JSONField()
    config: fields.Field[dict[str, object]] = fields.JSONField(null=True)
    endpoints_health: fields.Field[dict[str, object]] = fields.JSONField(null=True)
    devices: fields.Field[list[object]] = fields.JSONField(null=True)
    extra: fields.Field[dict[str, object]] = fields.JSONField(null=True)
    reported_at = fields.DatetimeField()
    diverged_at = fields.DatetimeField(null=True)
    compared_version = fields.IntField(null=True)

    class Meta:
        table = "current_state"
        unique_together = (("tenant_id", "agent_id"),)
