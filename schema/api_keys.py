"""API keys: long-lived credentials for programs."""

from __future__ import annotations

import strawberry


@strawberry.type
class ApiKeyQuery:
    """Fields of Query."""


@strawberry.type
class ApiKeyMutation:
    """Fields of Mutation."""
