"""Messages to agents: what the broker is to hold for them, retained; the outbox of all of it.

One row per agent and channel: only the newest message on a channel matters to an agent, and an
empty payload takes the retained one away.
"""

from __future__ import annotations

from datetime import datetime

from models.connection import fetch


async def put_message(
    tenant_id: int, agent_id: int, channel: str, payload: bytes, now: datetime
) -> None:
    """Have the broker hold `payload` on the agent's `channel`; emit BROKER_MESSAGES beside it.

    `channel` is what follows the agent in the topic, such as `agent/update`.
    """
    await fetch(
        "insert into broker_message (tenant_id, agent_id, channel, payload, revision, changed_at)"
        " values ($1, $2, $3, $4, 1, $5) on conflict (tenant_id, agent_id, channel) do update"
        " set payload = excluded.payload, revision = broker_message.revision + 1,"
        " changed_at = excluded.changed_at",
        tenant_id,
        agent_id,
        channel,
        payload,
        now,
    )
