"""What agents sent over MQTT: one row per agent, to which ingest adds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from tortoise import fields

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.paging import Slice, decode_cursor, encode_cursor
from models.base import TenantModel
from models.connection import fetch


class AgentTraffic(TenantModel):
    """How much an agent has sent since counting began, payloads only, and when it last did."""

    noun = "traffic of the agent"

    agent_id = fields.IntField(primary_key=True, generated=False)
    last_message_at = fields.DatetimeField()
    messages = fields.BigIntField()
    bytes = fields.BigIntField()

    class Meta:
        table = "agent_traffic"


@dataclass(slots=True)
class Tally:
    """What was counted of one agent and is not stored yet."""

    agent_id: int
    messages: int = 0
    bytes: int = 0
    last_at: datetime | None = None

    def count(self, bytes_: int, now: datetime) -> None:
        """Add one message."""
        self.messages += 1
        self.bytes += bytes_
        self.last_at = now


@dataclass(frozen=True, slots=True)
class TrafficOfAgent:
    """A row of the list: the agent's traffic, and which agent it is."""

    agent_id: int
    agent_uuid: UUID
    agent_name: str
    last_message_at: datetime
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrafficSums:
    """All agents of a tenant together; `agents` counts those that have sent anything."""

    agents: int
    messages: int
    bytes: int
    last_message_at: datetime | None


class TrafficOrder(StrEnum):
    """What the list is sorted by; most and newest come first."""

    BYTES = "bytes"
    MESSAGES = "messages"
    LAST_MESSAGE = "last_message"


_COLUMNS: Final = {
    TrafficOrder.BYTES: "bytes",
    TrafficOrder.MESSAGES: "messages",
    TrafficOrder.LAST_MESSAGE: "last_message_at",
}


async def add_traffic(tallies: Sequence[Tally]) -> None:
    """Add what was counted, of agents of all tenants; one that was deleted is passed over.

    Rows are locked in the order of their keys, so that two processes never wait for each other.
    """
    await fetch(
        "insert into agent_traffic as t (tenant_id, agent_id, last_message_at, messages, bytes)"
        " select a.tenant_id, a.id, n.at, n.messages, n.bytes"
        " from unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::bigint[])"
        " as n (agent_id, at, messages, bytes) join agent a on a.id = n.agent_id"
        " order by a.tenant_id, a.id"
        " on conflict (tenant_id, agent_id) do update set"
        " last_message_at = greatest(t.last_message_at, excluded.last_message_at),"
        " messages = t.messages + excluded.messages, bytes = t.bytes + excluded.bytes",
        [tally.agent_id for tally in tallies],
        [tally.last_at for tally in tallies],
        [tally.messages for tally in tallies],
        [tally.bytes for tally in tallies],
    )


async def find_traffic(tenant_id: int, agent_ids: Collection[int]) -> dict[int, AgentTraffic]:
    """Return the traffic of these agents by id; who never sent anything is left out."""
    rows = await AgentTraffic.with_any(tenant_id, "agent_id", sorted(set(agent_ids)))
    return {row.agent_id: row for row in rows}


async def sum_traffic(tenant_id: int) -> TrafficSums:
    """Return what all agents of a tenant sent."""
    (row,) = await fetch(
        "select count(*)::int as agents, coalesce(sum(messages), 0)::bigint as messages,"
        " coalesce(sum(bytes), 0)::bigint as bytes, max(last_message_at) as last_message_at"
        " from agent_traffic where tenant_id = $1",
        tenant_id,
    )
    return TrafficSums(**row)


async def page_of_traffic(
    tenant_id: int, order: TrafficOrder, first: int, after: str | None
) -> Slice[TrafficOfAgent]:
    """Return one page, most or newest first; raises InvalidInput for a bad cursor."""
    column = _COLUMNS[order]
    behind, values = "", [tenant_id, first + 1]
    if after is not None:
        behind = f" and (t.{column}, t.agent_id) < ($3, $4)"
        values += _read_cursor(order, after)
    rows = await fetch(
        "select t.agent_id, a.uuid as agent_uuid, a.name as agent_name,"  # noqa: S608  (ours)
        " t.last_message_at, t.messages, t.bytes from agent_traffic t"
        " join agent a on a.tenant_id = t.tenant_id and a.id = t.agent_id"
        f" where t.tenant_id = $1{behind} order by t.{column} desc, t.agent_id desc limit $2",
        *values,
    )
    items = [TrafficOfAgent(**row) for row in rows[:first]]
    total = (await sum_traffic(tenant_id)).agents
    return Slice(items, [_cursor(order, item) for item in items], len(rows) > first, total)


def _cursor(order: TrafficOrder, item: TrafficOfAgent) -> str:
    value = getattr(item, _COLUMNS[order])
    number = micros(value) if order is TrafficOrder.LAST_MESSAGE else value
    return encode_cursor(f"{order} {number} {item.agent_id}")


def _read_cursor(order: TrafficOrder, after: str) -> list[Any]:
    try:
        told, number, agent_id = decode_cursor(after).split(" ")
        if told != order or not 0 <= int(number) < 2**63 or not 0 <= int(agent_id) < 2**31:
            raise ValueError(after)
        is_time = order is TrafficOrder.LAST_MESSAGE
        return [moment_of(int(number)) if is_time else int(number), int(agent_id)]
    except (ValueError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None
