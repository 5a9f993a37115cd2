"""Updates of the agents' own software."""

from __future__ import annotations

import strawberry


@strawberry.type
class AgentUpdateQuery:
    """Fields of Query."""


@strawberry.type
class AgentUpdateMutation:
    """Fields of Mutation."""


@strawberry.type
class AgentUpdateSubscription:
    """Fields of Subscription."""
