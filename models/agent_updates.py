"""Updates of agents' own software, and how far each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q

from core.agent_updates import OPEN, UpdateState
from core.paging import Slice
from models.pages import DatedModel, newest_first

STEPS_MAX: Final = 50
"""Messages of an agent that are kept with an update, the latest of them."""


class AgentUpdate(DatedModel):
    """One command to an agent to update itself; an agent has at most one that is open.

    `agent_clock_ms` is how far the agent's clock is behind ours, once its answer has told.
    `progress` lists what the agent told, oldest first.
    """

    noun = "agent update"

    agent_id = fields.IntField()
    agent_uuid = fields.UUIDField(default=None)
    from_version = fields.CharField(max_length=100, null=True)
    to_version = fields.CharField(max_length=100)
    state = fields.CharEnumField(UpdateState, max_length=20)
    reason = fields.CharField(max_length=500, null=True)
    is_forced = fields.BooleanField(default=False)
    is_declared = fields.BooleanField(default=False)
    scheduled_at = fields.DatetimeField(null=True)
    issued_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    requested_by = fields.UUIDField(default=None, null=True)
    acknowledged_at = fields.DatetimeField(null=True)
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)
    agent_clock_ms = fields.BigIntField(null=True)
    progress: fields.Field[list[dict[str, Any]]] = fields.JSONField(default=list)

    class Meta:
        table = "agent_update"

    @property
    def is_open(self) -> bool:
        """Whether it may still move."""
        return self.state in OPEN

    def add_step(self, step: dict[str, Any]) -> None:
        """Keep what the agent told."""
        self.progress = [*self.progress, step][-STEPS_MAX:]


@dataclass(frozen=True, slots=True)
class UpdateFilter:
    """Which updates: None means all."""

    agent_uuid: UUID | None = None
    states: Sequence[UpdateState] | None = None


async def page_of_updates(
    tenant_id: int, wanted: UpdateFilter, first: int, after: str | None
) -> Slice[AgentUpdate]:
    """Return updates, newest first."""
    query = AgentUpdate.of(tenant_id)
    if wanted.agent_uuid is not None:
        query = query.filter(agent_uuid=wanted.agent_uuid)
    if wanted.states is not None:
        query = query.filter(state__in=list(wanted.states))
    return await newest_first(query, first, after)


async def open_update(tenant_id: int, agent_id: int) -> AgentUpdate | None:
    """Return an agent's open update, held until the transaction ends."""
    query = AgentUpdate.of(tenant_id, agent_id=agent_id, state__in=OPEN)
    return await query.select_for_update().first()


async def overdue_updates(now: datetime, started_max: timedelta, limit: int) -> list[AgentUpdate]:
    """Return open updates of any tenant that ran out of time, held until the transaction ends."""
    running = UpdateState.IN_PROGRESS
    query = AgentUpdate.filter(
        Q(state__in=[state for state in OPEN if state is not running], expires_at__lt=now)
        | Q(state=running, started_at__lt=now - started_max)
    )
    held = query.select_for_update(skip_locked=True)
    return await held.order_by("created_at").limit(limit)
