"""Agents and the keys they come with."""

from __future__ import annotations

from enum import StrEnum

from tortoise import fields

from models.base import TenantModel


class ProvisioningState(StrEnum):
    """How far an agent is: registered, then proven to hold its private key."""

    REGISTERED = "registered"
    PROVISIONED = "provisioned"


class Agent(TenantModel):
    """The software on an edge gateway.

    `uuid` was chosen by the agent and names it on every face; `id` keys its rows. The columns
    from `agent_version` on are what the agent last reported: usage in percent, sizes in MB,
    temperature in °C, uptime in seconds.
    """

    noun = "agent"

    id = fields.IntField(primary_key=True)
    uuid = fields.UUIDField(default=None)
    name = fields.CharField(max_length=255)
    type = fields.CharField(max_length=100)
    provisioning_state = fields.CharEnumField(ProvisioningState, max_length=20)
    provisioning_key_id = fields.UUIDField(default=None, null=True)
    public_key = fields.TextField()
    challenge = fields.CharField(max_length=64, null=True)
    challenge_expires_at = fields.DatetimeField(null=True)
    is_active = fields.BooleanField(default=True)
    is_online = fields.BooleanField(default=False)
    last_seen_at = fields.DatetimeField(null=True)
    session_drop_requested_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    changed_at = fields.DatetimeField()
    provisioned_at = fields.DatetimeField(null=True)

    agent_version = fields.CharField(max_length=100, null=True)
    os_version = fields.CharField(max_length=255, null=True)
    architecture = fields.CharField(max_length=50, null=True)
    mac_address = fields.CharField(max_length=64, null=True)
    ip_address = fields.CharField(max_length=64, null=True)
    network_interfaces: fields.Field[list[object]] = fields.JSONField(null=True)
    cpu_usage = fields.FloatField(null=True)
    cpu_temp = fields.FloatField(null=True)
    memory_usage = fields.FloatField(null=True)
    memory_total = fields.FloatField(null=True)
    storage_usage = fields.FloatField(null=True)
    storage_total = fields.FloatField(null=True)
    uptime_seconds = fields.FloatField(null=True)

    class Meta:
        table = "agent"
        unique_together = (("tenant_id", "uuid"),)


class DeviceKey(TenantModel):
    """A credential of an agent, stored as a digest.

    Good for everything once `proven_at` is set, and for log upload only after `superseded_at`:
    a re-provisioned agent goes on sending logs with its old key until it restarts.
    """

    noun = "device key"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    key_hash = fields.BinaryField()
    created_at = fields.DatetimeField()
    proven_at = fields.DatetimeField(null=True)
    superseded_at = fields.DatetimeField(null=True)

    class Meta:
        table = "device_key"
        indexes = (("tenant_id", "agent_id"),)
