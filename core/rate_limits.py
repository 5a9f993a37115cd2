"""How often callers may call: what a counter of calls offers to use cases and edges."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

from core.callers import Caller


class RateScope(StrEnum):
    """What is counted apart; each has its own limit per moving window, from the settings.

    The window is a minute, of PROVISIONING an hour: there only what failed is counted.
    """

    GLOBAL = "global"
    AUTH = "auth"
    DEVICE = "device"
    ADMIN = "admin"
    PROVISIONING = "provisioning"


class RateState(NamedTuple):
    """Where a caller stands after a call: `remaining` of `limit`, one more in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """Counts calls."""

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        """Count one call under each key, and return the state of the fullest one.

        Keys behind one that is full are not counted: name the caller's own first. Raises
        RateLimited, with the facts `scope`, `limit`, `remaining` and `reset_seconds`, when one of
        the keys has no call left. None: nothing is counted now, the call goes on.
        """
        ...

    async def check(self, scope: RateScope, key: str) -> None:
        """Raise RateLimited if the key has no call left; counts nothing."""
        ...


class NoRateLimits:
    """Counts nothing."""

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        """Let every call go on."""
        return None

    async def check(self, scope: RateScope, key: str) -> None:
        """Let every call go on."""


def state_in(facts: Mapping[str, object]) -> RateState | None:
    """Return the state that RateLimited tells in its facts; None when it tells none."""
    match facts:
        case {"limit": int(limit), "remaining": int(remaining), "reset_seconds": int(seconds)}:
            return RateState(limit, remaining, seconds)
    return None


async def count_call(
    limits: RateLimiter, caller: Caller, remote_address: str, *, is_device_call: bool = False
) -> RateState | None:
    """Count one call from outside, whatever it asks for; raises RateLimited.

    Agents have a limit of their own, so have people at the endpoints of agents. Nobody, which is
    also who came with a bad credential, is counted by address.
    """
    if caller.agent_uuid is not None:
        return await limits.hit(RateScope.DEVICE, f"agent:{caller.agent_uuid.hex}")
    if caller.api_key_id is not None:
        key = f"key:{caller.api_key_id.hex}"
    elif caller.user_id is not None:
        key = f"user:{caller.user_id.hex}"
    else:
        return await limits.hit(RateScope.GLOBAL, address_key(remote_address))
    return await limits.hit(RateScope.DEVICE if is_device_call else RateScope.GLOBAL, key)


@lru_cache(4_096)
def address_key(remote_address: str) -> str:
    """Return what an address is counted as: of IPv6 its /64, as one customer has all of that."""
    if ":" in remote_address:
        try:
            address = ipaddress.IPv6Address(remote_address)
        except ValueError:
            return f"address:{remote_address}"
        if address.ipv4_mapped is not None:
            return f"address:{address.ipv4_mapped}"
        network = ipaddress.IPv6Network((address.packed[:8] + bytes(8), 64))
        return f"address:{network}"
    return f"address:{remote_address}"
