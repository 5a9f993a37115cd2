"""What agents reported before, and where they differ from their target."""

from __future__ import annotations

import strawberry


@strawberry.type
class StateHistoryQuery:
    """Fields of Query."""
