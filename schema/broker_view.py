"""The broker as operators see it."""

from __future__ import annotations

import strawberry


@strawberry.type
class BrokerViewQuery:
    """Fields of Query."""


@strawberry.type
class BrokerViewSubscription:
    """Fields of Subscription."""
