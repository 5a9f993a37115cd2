"""Lists of endpoints over one agent or many, those included that only a draft has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.errors import InvalidInput, NotFound
from core.paging import PAGE_SIZE_MAX, Slice, decode_cursor, encode_cursor
from core.sensors import EndpointStatus
from models.agent_lists import AgentFilter, conditions_of
from models.agents import Agent
from models.conditions import Conditions
from models.connection import fetch
from models.endpoints import COLUMNS, Endpoint, endpoint_of

TEXT_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """Which endpoints: None means all. `text` is a part of the name, `key` all of it or the uuid."""

    agent_id: int | None = None
    agents: AgentFilter | None = None
    protocol: str | None = None
    status: EndpointStatus | None = None
    text: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointCount:
    """How many endpoints of one protocol have one status."""

    protocol: str
    status: EndpointStatus
    count: int


# A draft's endpoint is listed unless the live target state has it, or just had it.
_ALL: Final = f"""
select tenant_id, {COLUMNS} from endpoint where tenant_id = $1
union all
select t.tenant_id, t.agent_id, (d ->> 'uuid')::uuid, left(coalesce(d ->> 'name', ''), 255),
    left(coalesce(d ->> 'protocol', ''), 50), 'draft', d, null, '', t.draft_at, t.draft_by, t.draft_at,
    t.draft_by, null, null, 0
from target_state t
cross join lateral jsonb_array_elements(case jsonb_typeof(t.draft_config -> 'endpoints')
    when 'array' then t.draft_config -> 'endpoints' else '[]' end) d
where t.tenant_id = $1 and t.draft_config is not null and d ->> 'uuid' is not null
    and not exists (select from endpoint e where e.tenant_id = $1
        and e.agent_id = t.agent_id and e.uuid = (d ->> 'uuid')::uuid)
"""  # noqa: S608  (a constant)
_NAMES: Final = ", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))


async def page_of_endpoints(
    tenant_id: int, wanted: EndpointFilter, first: int, after: str | None
) -> Slice[Endpoint]:
    """Return one page of endpoints by name; raises InvalidInput for a bad cursor."""
    where, values = _conditions(tenant_id, wanted)
    (total,) = await fetch(
        f"select count(*) as number from ({_ALL}) e where {where}",  # noqa: S608  (parameters only)
        *values.values,
    )
    if after is not None:
        name, agent_id, uuid = (values.parameter(each) for each in _read_cursor(after))
        where += f" and (e.name, e.agent_id, e.uuid) > ({name}, {agent_id}::int, {uuid}::uuid)"
    rows = await fetch(
        f"select {_NAMES}, a.uuid as agent_uuid from ({_ALL}) e"  # noqa: S608  (as above)
        " join agent a on a.tenant_id = e.tenant_id and a.id = e.agent_id"
        f" where {where} order by e.name, e.agent_id, e.uuid limit {first + 1}",
        *values.values,
    )
    items = [endpoint_of(row) for row in rows[:first]]
    return Slice(items, [_cursor(item) for item in items], len(rows) > first, total["number"])


async def endpoint_named(agent: Agent, key: str) -> Endpoint:
    """Return an endpoint by its name or uuid, one that stays before one that leaves.

    Raises NotFound.
    """
    wanted = EndpointFilter(agent_id=agent.id, key=key)
    page = await page_of_endpoints(agent.tenant_id, wanted, PAGE_SIZE_MAX, None)
    if not page.items:
        raise NotFound("sensor", key)
    return min(page.items, key=lambda row: row.status is EndpointStatus.PENDING_DELETION)


async def count_endpoints(tenant_id: int, wanted: EndpointFilter) -> list[EndpointCount]:
    """Return how many endpoints there are by protocol and status."""
    where, values = _conditions(tenant_id, wanted)
    rows = await fetch(
        "select e.protocol, e.status, count(*) as number"  # noqa: S608  (parameters only)
        f" from ({_ALL}) e where {where} group by 1, 2 order by 1, 2",
        *values.values,
    )
    return [
        EndpointCount(row["protocol"], EndpointStatus(row["status"]), row["number"]) for row in rows
    ]


def _conditions(tenant_id: int, wanted: EndpointFilter) -> tuple[str, Conditions]:
    """Return the text of a `where`, and what holds its values."""
    agents = conditions_of(tenant_id, wanted.agents or AgentFilter())
    parts = ["true"]
    if wanted.agents is not None:
        parts.append(f"e.agent_id in (select id from agent where {agents})")  # noqa: S608  (as above)
    for column, value in (
        ("agent_id", wanted.agent_id),
        ("protocol", _checked("protocol", wanted.protocol)),
        ("status", wanted.status),
    ):
        if value is not None:
            parts.append(f"e.{column} = {agents.parameter(value)}")
    if _checked("text", wanted.text):
        parts.append(f"strpos(lower(e.name), lower({agents.parameter(wanted.text)})) > 0")
    if wanted.key is not None:
        key = agents.parameter(_checked("name", wanted.key))
        parts.append(f"(e.name = {key} or e.uuid::text = lower({key}))")
    return " and ".join(parts), agents


def _checked(field: str, text: str | None) -> str | None:
    if text is not None and (len(text) > TEXT_CHARS_MAX or "\x00" in text):
        raise InvalidInput(field, f"must have at most {TEXT_CHARS_MAX} characters and no NUL")
    return text


def _cursor(item: Endpoint) -> str:
    return encode_cursor(json.dumps([item.name, item.agent_id, str(item.uuid)]))


def _read_cursor(after: str) -> tuple[str, int, UUID]:
    try:
        name, agent_id, uuid = json.loads(decode_cursor(after))
        name.encode()  # half a character, which no name holds
        if "\x00" not in name and type(agent_id) is int and 0 <= agent_id < 2**31:
            return name, agent_id, UUID(uuid)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidInput("after", "is not a cursor of this list")
