"""Calls counted over a moving window: in memory, or in Redis for all processes together."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core import metrics
from core.clock import Clock
from core.derived_secrets import DerivedSecrets
from core.errors import RateLimited
from core.rate_limits import RateScope, RateState
from fleetgraph.setting_sections import LimitSettings
from fleetgraph.settings import Settings

MINUTE: Final = 60
HOUR: Final = 3_600
KEYS_MAX: Final = 100_000
"""Callers counted in memory; beyond, who called least recently is forgotten."""

REDIS_SECONDS_MAX: Final = 0.1
REDIS_PAUSE_SECONDS: Final = 1.0
"""How long Redis is not asked after it failed, so that a hanging one does not slow every call."""
REDIS_CONNECTIONS_MAX: Final = 32
WARNING_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


class Window(NamedTuple):
    """The last window of one key: whether the call found room, and the calls it holds."""

    has_room: bool
    used: int
    reset_seconds: float


class Windows(Protocol):
    """Where calls are counted."""

    async def take(self, key: str, limit: int) -> Window | None:
        """Count a call unless the window is full; None: nothing can be counted now."""
        ...

    async def look(self, key: str, limit: int) -> Window | None:
        """Return the window as it is; None: nothing is known now."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class CallLimiter:
    """Counts calls per scope and key; a RateLimiter. Scopes in `hourly` have a longer window."""

    def __init__(
        self,
        windows: Windows,
        limits: Mapping[RateScope, int],
        hourly: Mapping[RateScope, Windows] | None = None,
    ) -> None:
        self._windows = windows
        self._hourly = hourly or {}
        self._limits = limits

    async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
        """Count one call under each key up to the first that is full; return the fullest's state."""
        limit, windows = self._limits[scope], self._hourly.get(scope, self._windows)
        fullest: Window | None = None
        for key in keys:
            window = await windows.take(f"{scope}:{key}", limit)
            if window is not None and (fullest is None or _is_fuller(window, fullest)):
                fullest = window
            if window is not None and not window.has_room:
                break  # who is refused uses up nothing of anybody else's
        if fullest is None:
            return None
        if fullest.has_room:
            seconds = max(1, math.ceil(fullest.reset_seconds))
            return RateState(limit, max(0, limit - fullest.used), seconds)
        raise self._refusal(scope, fullest)

    async def check(self, scope: RateScope, key: str) -> None:
        """Raise RateLimited if the key has no call left; counts nothing."""
        windows = self._hourly.get(scope, self._windows)
        window = await windows.look(f"{scope}:{key}", self._limits[scope])
        if window is not None and not window.has_room:
            raise self._refusal(scope, window)

    def _refusal(self, scope: RateScope, window: Window) -> RateLimited:
        limit, seconds = self._limits[scope], max(1, math.ceil(window.reset_seconds))
        what, period = ("failed attempts", "hour") if scope in self._hourly else ("calls", "minute")
        return RateLimited(
            f"Too many {what}: at most {limit} per {period}; try again in {seconds} s",
            retry_after_seconds=seconds,
            scope=scope.value,
            limit=limit,
            remaining=0,
            reset_seconds=seconds,
        )

    async def close(self) -> None:
        """Let go of what is open."""
        for windows in (self._windows, *self._hourly.values()):
            await windows.close()


def _is_fuller(one: Window, other: Window) -> bool:
    """Compare by what is left, and by the longer wait where nothing is."""
    return (not one.has_room, one.used, one.reset_seconds) > (
        not other.has_room,
        other.used,
        other.reset_seconds,
    )


class MemoryWindows:
    """Windows of this process.

    Not the memory storage of `limits`: at every call that starts a look at all keys, each in a
    thread, and it took 150 µs of the processor where this takes four.
    """

    def __init__(
        self,
        *,
        seconds: int = MINUTE,
        keys_max: int = KEYS_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._keys_max = keys_max
        self._now = now
        self._calls: OrderedDict[str, array[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are held."""
        return len(self._calls)

    async def take(self, key: str, limit: int) -> Window | None:
        """Count a call unless the window is full."""
        now = self._now()
        start = now - self._seconds
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = array("d")
            self._forget(start)
        else:
            self._calls.move_to_end(key)
            if calls and calls[0] <= start:
                del calls[: bisect_right(calls, start)]
        has_room = len(calls) < limit
        if has_room:
            calls.append(now)
        return Window(has_room, len(calls), calls[0] - start)

    async def look(self, key: str, limit: int) -> Window | None:
        """Return the window as it is."""
        start = self._now() - self._seconds
        calls = self._calls.get(key, array("d"))
        used = len(calls) - bisect_right(calls, start)
        return Window(used < limit, used, calls[-used] - start if used else 0.0)

    async def close(self) -> None:
        """Do nothing."""

    def _forget(self, start: float) -> None:
        """Drop keys whose calls are all over, and the least recent one when there is no room."""
        while len(self._calls) > 1:
            key, calls = next(iter(self._calls.items()))
            if calls[-1] > start and len(self._calls) <= self._keys_max:
                return
            del self._calls[key]


class RedisWindows:
    """Windows shared by all processes; a Redis that fails or is slow lets every call go on."""

    def __init__(self, url: str, clock: Clock, hash_key: bytes, *, seconds: int = MINUTE) -> None:
        self._seconds = seconds
        self._clock = clock
        self._hash_key = hash_key
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS_MAX,
            timeout=REDIS_SECONDS_MAX,
            retry=Retry(NoBackoff(), 0),
        )
        self._storage = RedisStorage(
            url,
            implementation="redispy",
            key_prefix="fleetgraph:limit",
            connection_pool=self._pool,  # type: ignore[arg-type]  # typed for coredis only
        )
        self._resumes_at = 0.0
        self._warns_at = 0.0

    async def take(self, key: str, limit: int) -> Window | None:
        """Count a call unless the window is full; None when Redis does not answer in time."""
        return await self._ask(key, limit, is_call=True)

    async def look(self, key: str, limit: int) -> Window | None:
        """Return the window as it is; None when Redis does not answer in time."""
        return await self._ask(key, limit, is_call=False)

    async def _ask(self, key: str, limit: int, *, is_call: bool) -> Window | None:
        if time.monotonic() < self._resumes_at:
            metrics.RATE_LIMIT_ERRORS.inc()
            return None
        # Names and addresses of people are nobody's business who looks into Redis.
        name = blake2b(key.encode(errors="replace"), digest_size=16, key=self._hash_key).hexdigest()
        storage, seconds = self._storage, self._seconds
        has_room = True
        try:
            async with asyncio.timeout(REDIS_SECONDS_MAX):
                if is_call:
                    has_room = await storage.acquire_entry(name, limit, seconds)
                started, used = await storage.get_moving_window(name, limit, seconds)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return None
        left = started + seconds - self._clock.now().timestamp()
        return Window(bool(has_room) if is_call else used < limit, used, left)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.disconnect()

    def _failed(self, error: Exception) -> None:
        metrics.RATE_LIMIT_ERRORS.inc()
        now = time.monotonic()
        self._resumes_at = now + REDIS_PAUSE_SECONDS
        if now >= self._warns_at:
            self._warns_at = now + WARNING_SECONDS
            _log.warning(
                "calls are not counted: Redis fails (%s)", str(error) or type(error).__name__
            )


def open_limiter(settings: Settings, clock: Clock, secrets: DerivedSecrets) -> CallLimiter:
    """Return the limiter of a process; the caller closes it."""
    limits = limits_of(settings.limit)
    if settings.redis.url is None:
        hourly: Windows = MemoryWindows(seconds=HOUR)
        return CallLimiter(MemoryWindows(), limits, {RateScope.PROVISIONING: hourly})
    hash_key = secrets.derive("rate limit keys").encode()
    url = settings.redis.url.get_secret_value()
    hourly = RedisWindows(url, clock, hash_key, seconds=HOUR)
    return CallLimiter(RedisWindows(url, clock, hash_key), limits, {RateScope.PROVISIONING: hourly})


def limits_of(settings: LimitSettings) -> dict[RateScope, int]:
    """Return the calls per window of each scope."""
    return {
        RateScope.GLOBAL: settings.global_per_minute,
        RateScope.AUTH: settings.auth_per_minute,
        RateScope.DEVICE: settings.device_per_minute,
        RateScope.ADMIN: settings.admin_per_minute,
        RateScope.PROVISIONING: settings.provisioning_failures_per_hour,
    }
