"""Log lines as they arrive."""

from __future__ import annotations

import strawberry


@strawberry.type
class LogTailSubscription:
    """Fields of Subscription."""
