"""Messages to agents: what the broker is to hold for them, retained; the outbox of all of it.

One row per agent and channel: only the newest message on a channel matters to an agent, and an
empty payload takes the retained one away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models.connection import fetch, rows_connection


@dataclass(frozen=True, slots=True)
class BrokerMessage:
    """A message in the hands of a publisher; one that is empty takes the retained one away."""

    tenant_id: int
    agent_uuid: UUID
    channel: str
    tenant_uuid: UUID
    payload: bytes
    revision: int


async def put_message(
    tenant_id: int, agent_id: int, channel: str, payload: bytes, now: datetime
) -> None:
    """Have the broker hold `payload` on the agent's `channel`; emit BROKER_MESSAGES beside it.

    `channel` is what follows the agent in the topic, such as `agent/update`.
    """
    await put_messages(tenant_id, [agent_id], channel, payload, now)


async def put_messages(
    tenant_id: int, agent_ids: Sequence[int], channel: str, payload: bytes, now: datetime
) -> None:
    """Do the same for many agents in one statement."""
    await fetch(
        "insert into broker_message (tenant_id, agent_id, channel, tenant_uuid, agent_uuid,"
        " payload, revision, changed_at) select a.tenant_id, a.id, $3::text, t.uuid, a.uuid,"
        " $4::bytea, 1, $5::timestamptz from agent a join tenant t on t.id = a.tenant_id"
        " where a.tenant_id = $1 and a.id = any($2) order by a.uuid"
        " on conflict (tenant_id, agent_uuid, channel) do update"
        " set payload = excluded.payload, revision = broker_message.revision + 1,"
        " agent_id = excluded.agent_id, changed_at = excluded.changed_at",
        tenant_id,
        list(agent_ids),
        channel,
        payload,
        now,
    )


async def take_away_messages(tenant_id: int, agent_id: int, now: datetime) -> None:
    """Empty all messages to an agent; emit BROKER_MESSAGES beside it."""
    await fetch(
        "update broker_message set payload = '', revision = revision + 1, changed_at = $3"
        " where tenant_id = $1 and agent_id = $2 and payload <> ''",
        tenant_id,
        agent_id,
        now,
    )


async def claim_messages(now: datetime, until: datetime, limit: int) -> list[BrokerMessage]:
    """Return messages that the broker does not have, and keep them from other publishers."""
    rows = await fetch(
        "update broker_message set claimed_until = $2"
        " where (tenant_id, agent_uuid, channel) in (select tenant_id, agent_uuid, channel"
        " from broker_message where published_revision < revision and claimed_until <= $1"
        " order by changed_at limit $3 for update skip locked)"
        " returning tenant_id, agent_uuid, channel, tenant_uuid, payload, revision",
        now,
        until,
        limit,
    )
    return [BrokerMessage(**row) for row in rows]


async def release_messages(messages: Sequence[BrokerMessage], *, published: bool) -> None:
    """Give claimed messages back; one that changed meanwhile still waits to be published."""
    async with rows_connection() as connection:
        await connection.executemany(
            "update broker_message set claimed_until = '-infinity', published_revision ="
            " greatest(published_revision, $4::bigint)"
            " where tenant_id = $1 and agent_uuid = $2 and channel = $3",
            [
                (one.tenant_id, one.agent_uuid, one.channel, one.revision if published else 0)
                for one in messages
            ],
        )


async def publish_again() -> None:
    """Let all messages wait once more, for a broker that may have lost them."""
    await fetch(
        "update broker_message set published_revision = 0 where published_revision = revision"
    )


async def tidy_messages(now: datetime, cleared_before: datetime) -> bool:
    """Forget what was taken away long ago, and take away what was meant for agents that are gone.

    Returns whether something new waits to be published.
    """
    await fetch(
        "delete from broker_message where payload = '' and published_revision = revision"
        " and changed_at < $1",
        cleared_before,
    )
    orphans = await fetch(
        "update broker_message m set payload = '', revision = revision + 1, changed_at = $1"
        " where payload <> '' and not exists (select from agent a where a.id = m.agent_id)"
        " returning 1",
        now,
    )
    return bool(orphans)
