"""Agents: who they are and what they last told of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from tortoise import fields

from core.errors import NotFound
from models.base import TenantModel
from models.connection import fetch


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
    fleet_id = fields.UUIDField(default=None, null=True)
    tags: fields.Field[dict[str, str]] = fields.JSONField(default=dict)
    location = fields.CharField(max_length=200, default="")

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


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """The ids of an agent whose topic was seen."""

    tenant_id: int
    agent_id: int
    agent_uuid: UUID


async def find_identity(tenant_uuid: UUID, agent_uuid: UUID) -> AgentIdentity | None:
    """Return the provisioned, active agent of this tenant and uuid."""
    rows = await fetch(
        "select a.tenant_id, a.id as agent_id, a.uuid as agent_uuid"
        " from tenant t join agent a on a.tenant_id = t.id"
        " where t.uuid = $1 and a.uuid = $2 and a.is_active"
        " and a.provisioning_state = 'provisioned'",
        tenant_uuid,
        agent_uuid,
    )
    return AgentIdentity(**rows[0]) if rows else None


async def lock_agent(tenant_id: int, uuid: UUID) -> Agent:
    """Return an agent's row for a change, held until the transaction ends. Raises NotFound."""
    agent = await Agent.of(tenant_id, uuid=uuid).select_for_update().first()
    if agent is None:
        raise NotFound(Agent.noun, uuid)
    return agent


async def lock_registration(tenant_id: int, agent_uuid: UUID) -> None:
    """Hold the registration of one agent for the rest of the transaction.

    An attempt that timed out on the agent may still run here when the next one comes.
    """
    await fetch(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"register:{tenant_id}:{agent_uuid}",
    )
