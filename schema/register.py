"""Changes to agents that operators make: names, tags, activity, deletion."""

from __future__ import annotations

import strawberry


@strawberry.type
class RegisterQuery:
    """Fields of Query."""


@strawberry.type
class RegisterMutation:
    """Fields of Mutation."""
