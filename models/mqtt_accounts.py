"""Accounts on the broker: the one truth; brokers are made to agree with it."""

from __future__ import annotations

from tortoise import fields

from models.base import TenantModel


class MqttAccount(TenantModel):
    """A user of the broker. For agents the user name is `<T>/a/<A>`."""

    noun = "MQTT account"

    id = fields.IntField(primary_key=True)
    username = fields.CharField(max_length=200, unique=True)
    password_hash = fields.TextField()
    agent_id = fields.IntField(null=True)
    is_active = fields.BooleanField(default=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "mqtt_account"
        indexes = (("tenant_id", "agent_id"),)
