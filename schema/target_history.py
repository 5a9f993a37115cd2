"""Versions of target states, drafts, and edits of single apps."""

from __future__ import annotations

import strawberry


@strawberry.type
class TargetHistoryQuery:
    """Fields of Query."""


@strawberry.type
class TargetHistoryMutation:
    """Fields of Mutation."""
