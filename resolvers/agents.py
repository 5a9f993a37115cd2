"""Agents: who they are, and whether they are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.audit import AuditType, agent_entry
from core.callers import Role
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.events import AgentChanged, agents_topic
from core.mqtt_topics import decode_tenant_id
from core.paging import Slice, page_size
from models import liveness
from models.agent_lists import BY_NAME, AgentFilter, AgentSort, agents_at, page_of_agents
from models.agents import Agent, AgentIdentity, find_identity
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.gathering import Gathering
from resolvers.memories import Memory
from resolvers.own_agent import own_agent_id, require_readable

__all__ = ["AgentFilter", "AgentIdentity", "AgentPage", "AgentSort", "SessionDrop"]

SEEN_SECONDS: Final = 15
"""An agent's last sighting is written at most this often by one process."""

IDENTITY_SECONDS: Final = 60
UNKNOWN_SECONDS: Final = 5
PAGE_MAX: Final = 1_000_000

_seen: Memory[int, None] = Memory(entries_max=100_000)
_identities: Memory[tuple[UUID, UUID], AgentIdentity | None] = Memory(entries_max=100_000)


@dataclass(frozen=True, slots=True)
class AgentPage:
    """One numbered page of agents; `total` counts all that match."""

    items: list[Agent]
    total: int
    page: int
    limit: int


@dataclass(frozen=True, slots=True)
class SessionDrop:
    """An MQTT session that should end, so that its agent starts over."""

    agent_id: int
    client_id: str


@allow(Permission.DEVICE_READ, Permission.AGENT_SELF)
async def get_agent(ctx: Context, uuid: UUID) -> Agent:
    """Return one agent; agents may read themselves. Raises NotFound."""
    require_readable(ctx, uuid)
    agent = await _agents.get(ctx.tenant_id, uuid)
    if agent is None:
        raise NotFound("agent", uuid)
    return agent


@allow(Permission.DEVICE_READ)
async def list_agents(
    ctx: Context, wanted: AgentFilter, first: int, after: str | None, sort: AgentSort = BY_NAME
) -> Slice[Agent]:
    """Return agents, `first` at a time; a row that stays as it is stands on exactly one page."""
    with database_errors():
        return await page_of_agents(ctx.tenant_id, wanted, sort, page_size(first), after)


@allow(Permission.DEVICE_READ)
async def list_agents_changed_since(
    ctx: Context, since: datetime, first: int, after_id: int
) -> list[Agent]:
    """Return agents that an operator could see change since then, by id, from `after_id` on."""
    with database_errors():
        query = Agent.of(ctx.tenant_id, changed_at__gte=since, id__gt=after_id)
        return await query.order_by("id").limit(page_size(first))


@allow(Permission.DEVICE_READ)
async def page_agents(
    ctx: Context, wanted: AgentFilter, page: int, limit: int, sort: AgentSort = BY_NAME
) -> AgentPage:
    """Return one numbered page of agents; pages start at 1."""
    limit = page_size(limit, "limit")
    if not 1 <= page <= PAGE_MAX:
        raise InvalidInput("page", f"must be between 1 and {PAGE_MAX}", limit=PAGE_MAX)
    with database_errors():
        items, total = await agents_at(ctx.tenant_id, wanted, sort, (page - 1) * limit, limit)
    return AgentPage(items, total, page, limit)


@allow(Permission.AGENT_SELF, Permission.SYSTEM)
async def mark_seen(ctx: Context, agent_ids: Collection[int]) -> None:
    """Record that agents showed signs of life; the system's caller may name any tenant's.

    One process writes an agent at most every 15 s. AgentChanged is published only for an agent
    that had been offline.
    """
    is_system = ctx.caller.role is Role.SYSTEM
    if not is_system:
        agent_ids = [own_agent_id(ctx, superseded_key=True)]
    now = ctx.clock.now()
    due = sorted({id_ for id_ in agent_ids if _seen.get(id_, now) is None})
    if not due:
        return
    for id_ in due:
        _seen.put(id_, None, now, seconds=SEEN_SECONDS)
    try:
        async with unit_of_work(ctx) as work:
            arrived = await liveness.note_seen(
                due, now, tenant_id=None if is_system else ctx.tenant_id
            )
            _tell(work, arrived, AuditType.DEVICE_ONLINE)
    except BaseException:
        for id_ in due:
            _seen.forget(id_)
        raise


@allow(Permission.SYSTEM)
async def find_topic_agent(
    ctx: Context, tenant_topic_id: str, agent_uuid: UUID
) -> AgentIdentity | None:
    """Return the agent that publishes under this tenant id, or None; remembered for a minute.

    The tenant's id may stand as in topics or in full. Only provisioned, active agents are found.
    """
    try:
        tenant_uuid = UUID(decode_tenant_id(tenant_topic_id))
    except ValueError:
        return None
    key, now = (tenant_uuid, agent_uuid), ctx.clock.now()
    remembered = _identities.get(key, now)
    if remembered is not None:
        return remembered[0]
    with database_errors():
        identity = await find_identity(tenant_uuid, agent_uuid)
    _identities.put(key, identity, now, seconds=IDENTITY_SECONDS if identity else UNKNOWN_SECONDS)
    return identity


@allow(Permission.SYSTEM)
async def forget_agents(ctx: Context, agent_id: int | None) -> None:
    """Forget what this process remembers of an agent's topic; None stands for all agents."""
    _identities.forget_all(
        lambda identity: (
            agent_id is None or (identity is not None and identity.agent_id == agent_id)
        )
    )


@allow(Permission.SYSTEM)
async def sweep_offline(ctx: Context) -> int:
    """Turn agents offline that have been silent for the online window; returns how many."""
    now = ctx.clock.now()
    async with unit_of_work(ctx) as work:
        gone = await liveness.note_silent(
            now - timedelta(seconds=ctx.policy.online_window_seconds), now
        )
        _tell(work, gone, AuditType.DEVICE_OFFLINE)
    return len(gone)


@allow(Permission.SYSTEM)
async def request_session_drop(
    ctx: Context, agent_ids: Sequence[int] | None, *, seen_since: datetime | None
) -> int:
    """Ask for MQTT sessions to be dropped once; None means every agent seen since then.

    An agent that met two errors in a row stays silent until its session ends, so after an outage
    of the API the sessions of all agents that were there are dropped.
    """
    with database_errors():
        return await liveness.request_drops(agent_ids, seen_since, ctx.clock.now())


@allow(Permission.SYSTEM)
async def list_session_drops(ctx: Context, limit: int) -> list[SessionDrop]:
    """Return sessions that wait to be dropped, longest wait first, over all tenants."""
    with database_errors():
        waiting = await liveness.waiting_drops(page_size(limit, "limit"))
    prefix = ctx.policy.client_id_prefix
    return [SessionDrop(id_, f"{prefix}_{uuid}") for id_, uuid in waiting]


@allow(Permission.SYSTEM)
async def clear_session_drops(ctx: Context, agent_ids: Sequence[int]) -> None:
    """Forget the requests of agents whose session has been dropped."""
    with database_errors():
        await liveness.clear_drops(agent_ids)


async def _fetch_agents(tenant_id: int, uuids: Collection[UUID]) -> dict[UUID, Agent]:
    with database_errors():
        return {row.uuid: row for row in await Agent.with_any(tenant_id, "uuid", uuids)}


_agents = Gathering(_fetch_agents)


def _tell(work: Work, transitions: Sequence[liveness.Transition], type_: AuditType) -> None:
    for change in transitions:
        event = AgentChanged(change.tenant_id, change.agent_uuid)
        work.emit(agents_topic(change.tenant_id), event)
        work.record(agent_entry(type_, change.agent_uuid, tenant_id=change.tenant_id))
