"""How often callers may call: what a counter of calls offers to use cases and edges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RateScope(StrEnum):
    """What is counted apart; each has its own limit per moving minute, from the settings."""

    GLOBAL = "global"
    AUTH = "auth"
    DEVICE = "device"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class RateState:
    """Where a caller stands after a call: `remaining` of `limit`, all back in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """Counts calls."""

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        """Count one call under each key, and return the state of the fullest one.

        Raises RateLimited, with the facts `scope`, `limit`, `remaining` and `reset_seconds`, when
        one of the keys has no call left. None: nothing is counted now, the call goes on.
        """
        ...


class NoRateLimits:
    """Counts nothing."""

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        """Let every call go on."""
        return None
