"""Changes to agents that people make: what they are called, whether they may come, their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType, Severity
from core.context import Context
from core.errors import InvalidInput
from core.events import (
    ACCESS,
    BROKER_ACCOUNTS,
    BROKER_MESSAGES,
    TARGET_STATES,
    AccessChanged,
    AgentChanged,
    BrokerAccountsChanged,
    BrokerMessagesChanged,
    TargetStateChanged,
    agents_topic,
)
from core.rate_limits import RateScope
from core.texts import checked_text
from models import liveness
from models.agents import Agent, lock_agent
from models.broker_messages import take_away_messages
from models.register import delete_agent_rows
from models.unit_of_work import Work, unit_of_work

NAME_CHARS_MAX: Final = 255
TYPE_CHARS_MAX: Final = 100
LOCATION_CHARS_MAX: Final = 200
ADDRESS_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class AgentChanges:
    """New values of an agent's columns; None leaves one as it is, empty text clears it."""

    name: str | None = None
    type: str | None = None
    location: str | None = None
    ip_address: str | None = None
    mac_address: str | None = None

    def checked(self) -> dict[str, str | None]:
        """Return the given values by column; raises InvalidInput."""
        found: dict[str, str | None] = {}
        if self.name is not None:
            found["name"] = checked_text("name", self.name, NAME_CHARS_MAX, chars_min=1)
        if self.type is not None:
            found["type"] = checked_text("type", self.type, TYPE_CHARS_MAX, chars_min=1)
        if self.location is not None:
            found["location"] = checked_text("location", self.location, LOCATION_CHARS_MAX)
        if self.ip_address is not None:
            found["ip_address"] = _address("ipAddress", self.ip_address)
        if self.mac_address is not None:
            found["mac_address"] = _address("macAddress", self.mac_address)
        if not found:
            raise InvalidInput("changes", "must have at least one value")
        return found


@allow(Permission.DEVICE_WRITE)
async def update_agent(ctx: Context, uuid: UUID, changes: AgentChanges) -> Agent:
    """Change what an agent is called and where it stands. Raises NotFound and InvalidInput."""
    wanted = changes.checked()
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, uuid)
        before = {column: getattr(agent, column) for column in wanted}
        if before == wanted:
            return agent
        agent.update_from_dict(wanted)
        await _save(ctx, work, agent, *wanted)
        work.record(
            AuditEntry(
                AuditType.DEVICE_UPDATED,
                f"agent:{uuid}",
                before=before,
                after=wanted,
                agent_uuid=uuid,
            )
        )
    return agent


@allow(Permission.DEVICE_WRITE)
async def set_agent_active(ctx: Context, uuid: UUID, is_active: bool) -> Agent:
    """Lock an agent out at once, over HTTP and MQTT, or let it come back; repeats do nothing."""
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, uuid)
        if agent.is_active == is_active:
            return agent
        agent.is_active = is_active
        if not is_active:
            agent.is_online = False
        await _save(ctx, work, agent, "is_active", "is_online")
        if not is_active:
            await liveness.request_drops([agent.id], None, ctx.clock.now())
        _tell_access(work, agent)
        work.record(
            AuditEntry(
                AuditType.DEVICE_ACTIVATED if is_active else AuditType.DEVICE_DEACTIVATED,
                f"agent:{uuid}",
                severity=Severity.INFO if is_active else Severity.WARNING,
                before={"is_active": not is_active},
                after={"is_active": is_active},
                agent_uuid=uuid,
            )
        )
    return agent


@allow(Permission.DEVICE_DELETE, limit=RateScope.ADMIN)
async def delete_agent(ctx: Context, uuid: UUID) -> UUID:
    """Delete an agent with its keys, states, account and events; its uuid may register anew.

    Its readings are out of reach from then on, and go when their time is over.
    """
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, uuid)
        await take_away_messages(ctx.tenant_id, agent.id, ctx.clock.now())
        await delete_agent_rows(ctx.tenant_id, agent.id)
        _tell_access(work, agent)
        work.emit(BROKER_MESSAGES, BrokerMessagesChanged())
        work.emit(TARGET_STATES, TargetStateChanged(ctx.tenant_id, uuid))
        work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, uuid))
        work.record(
            AuditEntry(
                AuditType.DEVICE_DELETED,
                f"agent:{uuid}",
                severity=Severity.WARNING,
                before={"name": agent.name, "type": agent.type, "tags": agent.tags},
                agent_uuid=uuid,
            )
        )
    return uuid


async def _save(ctx: Context, work: Work, agent: Agent, *columns: str) -> None:
    agent.changed_at = ctx.clock.now()
    await agent.save(update_fields=[*columns, "changed_at"])
    work.emit(agents_topic(ctx.tenant_id), AgentChanged(ctx.tenant_id, agent.uuid))


def _tell_access(work: Work, agent: Agent) -> None:
    work.emit(ACCESS, AccessChanged(agent.tenant_id, agent_id=agent.id))
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())


def _address(field: str, text: str) -> str | None:
    return checked_text(field, text, ADDRESS_CHARS_MAX) or None
