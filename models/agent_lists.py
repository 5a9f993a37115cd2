"""Lists of agents: which, in what order, page by page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from core.selectors import Selector
from models.agents import Agent, ProvisioningState
from models.conditions import Conditions
from models.connection import fetch

TEXT_CHARS_MAX: Final = 255
_IDS_END: Final = 2**31


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents: None means all. `text` is a part of the name, or the whole uuid."""

    online: bool | None = None
    active: bool | None = None
    text: str | None = None
    fleet_id: UUID | None = None
    selector: Selector | None = None
    provisioning_state: ProvisioningState | None = None
    type: str | None = None
    version: str | None = None


class AgentOrder(StrEnum):
    """What a list of agents is sorted by."""

    NAME = "name"
    LAST_SEEN = "last_seen"
    CREATED = "created"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class AgentSort:
    """The order of a list; agents that are alike stand by id, those never seen last."""

    by: AgentOrder = AgentOrder.NAME
    descending: bool = False

    @property
    def sql(self) -> str:
        """The terms for an `order by`, which the index on names serves by default."""
        direction = " desc" if self.descending else ""
        nulls = " nulls last" if self.by is AgentOrder.LAST_SEEN else ""
        return f"{self.column}{direction}{nulls}, id{direction}"

    @property
    def column(self) -> str:
        """The column that is sorted by."""
        return _COLUMNS[self.by]


BY_NAME: Final = AgentSort()

_COLUMNS: Final = {
    AgentOrder.NAME: "name",
    AgentOrder.LAST_SEEN: "last_seen_at",
    AgentOrder.CREATED: "created_at",
    AgentOrder.STATUS: "is_online",
}


async def page_of_agents(
    tenant_id: int, wanted: AgentFilter, sort: AgentSort, first: int, after: str | None
) -> Slice[Agent]:
    """Return one page; a row that stays as it is stands on exactly one. InvalidInput for `after`."""
    where = conditions_of(tenant_id, wanted)
    total = await count_agents(where)
    if after is not None:
        _add_behind(where, sort, after)
    rows = await _rows(where, f"{sort.sql} limit {first + 1}")
    items = rows[:first]
    return Slice(items, [_cursor(sort, row) for row in items], len(rows) > first, total)


async def agents_at(
    tenant_id: int, wanted: AgentFilter, sort: AgentSort, offset: int, limit: int
) -> tuple[list[Agent], int]:
    """Return `limit` agents from `offset` on, and how many there are in all."""
    where = conditions_of(tenant_id, wanted)
    total = await count_agents(where)
    return await _rows(where, f"{sort.sql} offset {offset} limit {limit}"), total


async def count_agents(where: Conditions) -> int:
    """Return how many agents meet the conditions."""
    (row,) = await fetch(
        f"select count(*) as number from agent where {where}",  # noqa: S608  (parameters only)
        *where.values,
    )
    return int(row["number"])


def conditions_of(tenant_id: int, wanted: AgentFilter) -> Conditions:
    """Return the filter as conditions; raises InvalidInput."""
    where = Conditions(tenant_id)
    for column, value in (
        ("is_online", wanted.online),
        ("is_active", wanted.active),
        ("fleet_id", wanted.fleet_id),
        ("provisioning_state", wanted.provisioning_state),
        ("type", _checked("type", wanted.type)),
        ("agent_version", _checked("version", wanted.version)),
    ):
        if value is not None:
            where.add(column + " = {}", value)
    if wanted.selector is not None:
        where.add_selector(wanted.selector)
    if wanted.text:
        _add_text(where, wanted.text)
    return where


def _add_text(where: Conditions, text: str) -> None:
    named = "strpos(lower(name), lower({})) > 0"
    _checked("text", text)
    try:
        where.add(named + " or uuid = {}", text, UUID(text))
    except ValueError:
        where.add(named, text)


def _checked(field: str, text: str | None) -> str | None:
    if text is not None and (len(text) > TEXT_CHARS_MAX or "\x00" in text):
        raise InvalidInput(field, f"must have at most {TEXT_CHARS_MAX} characters and no NUL")
    return text


async def _rows(where: Conditions, rest: str) -> list[Agent]:
    found = await fetch(
        f"select {Agent.columns()} from agent where {where} order by {rest}",  # noqa: S608  (as above)
        *where.values,
    )
    return [Agent.of_record(row) for row in found]


def _cursor(sort: AgentSort, agent: Agent) -> str:
    value = {
        AgentOrder.NAME: agent.name,
        AgentOrder.LAST_SEEN: agent.last_seen_at and micros(agent.last_seen_at),
        AgentOrder.CREATED: micros(agent.created_at),
        AgentOrder.STATUS: agent.is_online,
    }[sort.by]
    return encode_cursor(json.dumps([value, agent.id, *_mark(sort)]))


def _mark(sort: AgentSort) -> Sequence[str]:
    """Return what tells the cursors of one order from those of another."""
    return [] if sort == BY_NAME else [sort.by, "desc" if sort.descending else "asc"]


def _add_behind(where: Conditions, sort: AgentSort, after: str) -> None:
    value, id_ = _read_cursor(sort, after)
    is_past = "<" if sort.descending else ">"
    if value is None:
        where.add(f"{sort.column} is null and id {is_past} {{}}", id_)
        return
    behind = f"({sort.column}, id) {is_past} ({{}}, {{}})"
    if sort.by is AgentOrder.LAST_SEEN:
        behind = f"{behind} or {sort.column} is null"
    where.add(behind, value, id_)


def _read_cursor(sort: AgentSort, after: str) -> tuple[str | datetime | bool | None, int]:
    try:
        value, id_, *mark = json.loads(decode_cursor(after))
        if mark != _mark(sort) or type(id_) is not int or not 0 <= id_ < _IDS_END:
            raise ValueError
        return _sort_key(sort.by, value), id_
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None


def _sort_key(by: AgentOrder, value: object) -> str | datetime | bool | None:
    """Return what a column is compared with; raises ValueError for what no row holds."""
    match by, value:
        case AgentOrder.NAME, str():
            value.encode()  # half a character, which no name holds
            if "\x00" not in value:
                return value
        case AgentOrder.STATUS, bool():
            return value
        case AgentOrder.LAST_SEEN, None:
            return None
        case ((AgentOrder.LAST_SEEN | AgentOrder.CREATED), int()) if not isinstance(value, bool):
            return moment_of(value)
    raise ValueError
