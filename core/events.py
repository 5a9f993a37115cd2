"""Every event and the topic it travels on. Nothing else builds a topic name."""

from __future__ import annotations

from uuid import UUID

from core.pubsub.base import Event, Topic


class JournalGrew(Event, frozen=True):
    """Readings were committed; the journal has them."""


class AgentChanged(Event, frozen=True):
    """Something an operator sees of an agent has changed; without a uuid, of many agents."""

    tenant_id: int
    agent_uuid: UUID | None


class TargetStateChanged(Event, frozen=True):
    """An agent's target state was replaced; caches of it are stale."""

    tenant_id: int
    agent_uuid: UUID


class AccessChanged(Event, frozen=True):
    """Callers may do less than before, or nothing: what is open for them ends.

    Exactly one of the ids is set. A replica that missed it finds out by itself within a minute.
    """

    tenant_id: int
    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    agent_id: int | None = None


class BrokerAccountsChanged(Event, frozen=True):
    """The broker's users differ from what it was last told."""


class BrokerMessagesChanged(Event, frozen=True):
    """Messages to agents wait to be published."""


class BrokerChanged(Event, frozen=True):
    """What is known of the broker is new: its figures, or drift."""


class AgentUpdateChanged(Event, frozen=True):
    """An update of an agent's software has moved."""

    tenant_id: int
    agent_uuid: UUID
    update_id: UUID


class LogsArrived(Event, frozen=True):
    """Log lines of an agent were committed: those with these ids, first and last."""

    tenant_id: int
    agent_uuid: UUID
    first_id: int
    last_id: int


JOURNAL = Topic("journal", JournalGrew)
TARGET_STATES = Topic("target_states", TargetStateChanged)
ACCESS = Topic("access", AccessChanged)
BROKER_ACCOUNTS = Topic("broker_accounts", BrokerAccountsChanged)
BROKER_MESSAGES = Topic("broker_messages", BrokerMessagesChanged)
BROKER = Topic("broker", BrokerChanged)


def agents_topic(tenant_id: int) -> Topic[AgentChanged]:
    """Return the topic of one tenant's agents; the id comes from the caller, never from input."""
    return Topic(f"tenant.{tenant_id}.agents", AgentChanged)


def agent_updates_topic(tenant_id: int) -> Topic[AgentUpdateChanged]:
    """Return the topic of one tenant's software updates."""
    return Topic(f"tenant.{tenant_id}.agent_updates", AgentUpdateChanged)


def logs_topic(tenant_id: int) -> Topic[LogsArrived]:
    """Return the topic of one tenant's log lines."""
    return Topic(f"tenant.{tenant_id}.logs", LogsArrived)
