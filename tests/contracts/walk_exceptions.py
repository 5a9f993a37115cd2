"""What the walk over all that may be asked does not hold against a field, and why."""

from __future__ import annotations

ALLOWED: dict[str, str] = {
    "Mutation.registerAgent": "a uuid is taken within a tenant; elsewhere it is free",
    "Mutation.reportState": "a report that names another agent than the caller is not valid",
    "Mutation.requestAgentUpdates": "each agent is answered by itself: one of others is not found",
}
"""Fields that do not answer NOT_FOUND to an id of A's, and why. They touch nothing of A either."""

NAMELESS = {"Subscription.brokerChanged"}
"""Subscriptions whose events have no text of the tenant's: figures alone."""
