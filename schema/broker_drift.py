"""Where the broker differed from its accounts here."""

from __future__ import annotations

import strawberry


@strawberry.type
class BrokerDriftQuery:
    """Fields of Query."""
