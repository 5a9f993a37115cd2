"""Every event and the topic it travels on. Nothing else builds a topic name."""

from __future__ import annotations

from uuid import UUID

from core.pubsub.base import Event, Topic


class JournalGrew(Event, frozen=True):
    """Readings were committed; the journal has them."""


class AgentChanged(Event, frozen=True):
    """Something an operator sees of an agent has changed."""

    tenant_id: int
    agent_uuid: UUID


class TargetStateChanged(Event, frozen=True):
    """An agent's target state was replaced; caches of it are stale."""

    tenant_id: int
    agent_uuid: UUID


class BrokerAccountsChanged(Event, frozen=True):
    """The broker's users differ from what it was last told."""


JOURNAL = Topic("journal", JournalGrew)
TARGET_STATES = Topic("target_states", TargetStateChanged)
BROKER_ACCOUNTS = Topic("broker_accounts", BrokerAccountsChanged)


def agents_topic(tenant_id: int) -> Topic[AgentChanged]:
    """Return the topic of one tenant's agents; the id comes from the caller, never from input."""
    return Topic(f"tenant.{tenant_id}.agents", AgentChanged)
