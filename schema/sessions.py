"""Sessions of people: refresh, logout, who is signed in where."""

from __future__ import annotations

import strawberry


@strawberry.type
class SessionQuery:
    """Fields of Query."""


@strawberry.type
class SessionMutation:
    """Fields of Mutation."""
