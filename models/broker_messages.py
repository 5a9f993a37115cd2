"""Messages to agents: what the broker is to hold for them, retained; the outbox of all of it.

One row per agent and channel: only the newest message on a channel matters to an agent, and an
empty payload takes the retained one away.

Who puts messages holds the agents' rows, and then many messages in whatever order. So publishers
never wait for a message while they hold another: they pass over what somebody holds, and then come
back for it, one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from models.connection import fetch


@dataclass(frozen=True, slots=True)
class BrokerMessage:
    """A message in the hands of a publisher; one that is empty takes the retained one away.

    A change ends the claim, which is known by its end, `claimed_until`.
    """

    tenant_id: int
    agent_uuid: UUID
    channel: str
    tenant_uuid: UUID
    payload: bytes
    revision: int
    claimed_until: datetime


_RELEASE: Final = """
update broker_message m set
    claimed_until = case m.claimed_until when g.claimed_until then '-infinity'
                    else m.claimed_until end,
    published_revision = case m.revision when g.revision then greatest(m.published_revision, g.done)
                         else m.published_revision end,
    revision = case m.revision when g.revision then m.revision else m.revision + 1 end
from unnest($1::int[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[])
    as g (tenant_id, agent_uuid, channel, revision, done, claimed_until)
where m.tenant_id = g.tenant_id and m.agent_uuid = g.agent_uuid and m.channel = g.channel
"""
_NOBODY_HOLDS: Final = """
and (m.tenant_id, m.agent_uuid, m.channel) in (
    select b.tenant_id, b.agent_uuid, b.channel from broker_message b
    join unnest($1::int[], $2::uuid[], $3::text[]) as w (tenant_id, agent_uuid, channel)
    on b.tenant_id = w.tenant_id and b.agent_uuid = w.agent_uuid and b.channel = w.channel
    for update of b skip locked)
returning m.tenant_id, m.agent_uuid, m.channel
"""


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
        " agent_id = excluded.agent_id, changed_at = excluded.changed_at,"
        " claimed_until = '-infinity'",
        tenant_id,
        list(agent_ids),
        channel,
        payload,
        now,
    )


async def take_away_messages(tenant_id: int, agent_id: int, now: datetime) -> None:
    """Empty all messages to an agent; emit BROKER_MESSAGES beside it."""
    await fetch(
        "update broker_message set payload = '', revision = revision + 1, changed_at = $3,"
        " claimed_until = '-infinity'"
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
        " returning tenant_id, agent_uuid, channel, tenant_uuid, payload, revision, claimed_until",
        now,
        until,
        limit,
    )
    return [BrokerMessage(**row) for row in rows]


async def release_messages(messages: Sequence[BrokerMessage], *, published: bool) -> None:
    """Give claimed messages back; not in a transaction.

    One that changed meanwhile may have been published in its new form by somebody else, before the
    broker got this older one: it is published once more, whoever has it now.
    """
    rows = await fetch(_RELEASE + _NOBODY_HOLDS, *_columns(messages, published=published))
    released = {(row["tenant_id"], row["agent_uuid"], row["channel"]) for row in rows}
    for one in messages:
        if (one.tenant_id, one.agent_uuid, one.channel) not in released:
            await fetch(_RELEASE, *_columns([one], published=published))


def _columns(messages: Sequence[BrokerMessage], *, published: bool) -> list[list[object]]:
    return [
        [one.tenant_id for one in messages],
        [one.agent_uuid for one in messages],
        [one.channel for one in messages],
        [one.revision for one in messages],
        [one.revision if published else 0 for one in messages],
        [one.claimed_until for one in messages],
    ]


async def publish_again() -> None:
    """Let all messages wait once more, for a broker that may have lost them; not in a transaction."""
    await fetch(
        "update broker_message set published_revision = 0"
        " where (tenant_id, agent_uuid, channel) in (select tenant_id, agent_uuid, channel"
        " from broker_message where published_revision = revision for update skip locked)"
    )
    held = await fetch(
        "select tenant_id, agent_uuid, channel from broker_message"
        " where published_revision = revision"
    )
    for row in held:
        await fetch(
            "update broker_message set published_revision = 0 where tenant_id = $1"
            " and agent_uuid = $2 and channel = $3 and published_revision = revision",
            *row.values(),
        )


async def tidy_messages(now: datetime, cleared_before: datetime) -> bool:
    """Forget what was taken away long ago, and take away what was meant for agents that are gone.

    Returns whether something new waits to be published. What somebody holds waits for next time.
    """
    await fetch(
        "delete from broker_message where (tenant_id, agent_uuid, channel) in"
        " (select tenant_id, agent_uuid, channel from broker_message where payload = ''"
        " and published_revision = revision and changed_at < $1 for update skip locked)",
        cleared_before,
    )
    orphans = await fetch(
        "update broker_message set payload = '', revision = revision + 1, changed_at = $1,"
        " claimed_until = '-infinity' where (tenant_id, agent_uuid, channel) in"
        " (select m.tenant_id, m.agent_uuid, m.channel from broker_message m where payload <> ''"
        " and not exists (select from agent a where a.id = m.agent_id)"
        " for update of m skip locked) returning 1",
        now,
    )
    return bool(orphans)
