"""Updates of agents' own software, and how far each is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tortoise import fields
from tortoise.expressions import Q

from core.agent_updates import OPEN, UpdateState
from core.paging import Slice
from models.agents import Agent
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


async def lock_agents(tenant_id: int, uuids: Collection[UUID]) -> list[Agent]:
    """Return those of the agents that there are, held until the transaction ends.

    They are locked in one order, so that two callers cannot wait for each other.
    """
    query = Agent.of(tenant_id, uuid__in=list(uuids)).order_by("id")
    return await query.select_for_update()


async def open_updates(tenant_id: int, agent_ids: Collection[int]) -> dict[int, AgentUpdate]:
    """Return the open updates of agents by agent, held until the transaction ends."""
    query = AgentUpdate.of(tenant_id, agent_id__in=list(agent_ids), state__in=OPEN)
    return {row.agent_id: row for row in await query.select_for_update()}


async def put_updates(updates: Collection[AgentUpdate]) -> None:
    """Insert updates, each of which names its tenant."""
    await AgentUpdate.bulk_create(updates)


async def end_updates(
    tenant_id: int, ids: Collection[UUID], state: UpdateState, reason: str, now: datetime
) -> None:
    """Bring updates to a final state."""
    await AgentUpdate.of(tenant_id, id__in=list(ids)).update(
        state=state, reason=reason, finished_at=now
    )


async def open_update(tenant_id: int, agent_id: int) -> AgentUpdate | None:
    """Return an agent's open update, held until the transaction ends."""
    query = AgentUpdate.of(tenant_id, agent_id=agent_id, state__in=OPEN)
    return await query.select_for_update().first()


async def updates_moved_since(
    tenant_id: int,
    since: datetime,
    agent_uuid: UUID | None,
    limit: int,
    after: AgentUpdate | None = None,
) -> list[AgentUpdate]:
    """Return updates that are open, or ended since then: the oldest, or those behind `after`."""
    query = AgentUpdate.of(tenant_id, Q(state__in=OPEN) | Q(finished_at__gte=since))
    if agent_uuid is not None:
        query = query.filter(agent_uuid=agent_uuid)
    if after is not None:
        at = after.created_at
        query = query.filter(Q(created_at__gt=at) | Q(created_at=at, id__gt=after.id))
    return await query.order_by("created_at", "id").limit(limit)


async def overdue_updates(now: datetime, started_max: timedelta, limit: int) -> list[AgentUpdate]:
    """Return open updates of any tenant that ran out of time."""
    running = UpdateState.IN_PROGRESS
    late = AgentUpdate.filter(
        Q(state__in=[state for state in OPEN if state is not running], expires_at__lt=now)
        | Q(state=running, started_at__lt=now - started_max)
    )
    return await late.order_by("created_at").limit(limit)
