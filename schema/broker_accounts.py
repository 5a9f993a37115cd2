"""Accounts on the broker, their roles and ACL lines."""

from __future__ import annotations

import strawberry


@strawberry.type
class BrokerAccountQuery:
    """Fields of Query."""


@strawberry.type
class BrokerAccountMutation:
    """Fields of Mutation."""
