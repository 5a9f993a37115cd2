"""People of the tenant, as those see them who manage accounts."""

from __future__ import annotations

import strawberry


@strawberry.type
class UserQuery:
    """Fields of Query."""


@strawberry.type
class UserMutation:
    """Fields of Mutation."""
