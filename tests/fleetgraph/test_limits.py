"""Calls counted over a moving minute, in memory and in Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from core import metrics
from core.clock import SystemClock
from core.errors import RateLimited
from core.rate_limits import RateScope, RateState, address_key
from fleetgraph.limits import HOUR, CallLimiter, MemoryWindows, RedisWindows, Windows
from tests.contracts.test_pubsub import RedisServer, free_port, redis_server

__all__ = ["redis_server"]

LIMITS = dict.fromkeys(RateScope, 3) | {RateScope.DEVICE: 30}
HASH_KEY = b"a key of this test"


class Seconds:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def limiter(seconds: Seconds) -> CallLimiter:
    return CallLimiter(MemoryWindows(now=seconds), LIMITS)


@pytest.fixture(params=["memory", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str | None:
    """Where Redis is, or None for counting in memory."""
    if request.param == "memory":
        return None
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
async def windows(redis_url: str | None) -> AsyncIterator[Windows]:
    """What counts, in each place."""
    if redis_url is None:
        yield MemoryWindows()
        return
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    made = RedisWindows(redis_url, SystemClock(), HASH_KEY)
    async with asyncio.timeout(20):  # the first connection may take longer than a call may wait
        while await made.look("warm", 1) is None:  # noqa: ASYNC110  (Redis offers no event)
            await asyncio.sleep(0.1)
    yield made
    await made.close()


async def test_counts_down_then_refuses_with_the_facts(windows: Windows) -> None:
    limiter = CallLimiter(windows, LIMITS)
    states = [await limiter.hit(RateScope.AUTH, "one") for _ in range(3)]
    assert [state and state.remaining for state in states] == [2, 1, 0]
    assert all(state and state.limit == 3 and 0 < state.reset_seconds <= 60 for state in states)
    with pytest.raises(RateLimited) as caught:
        await limiter.hit(RateScope.AUTH, "one")
    facts = caught.value.facts
    assert facts["scope"] == "auth"
    assert (facts["limit"], facts["remaining"]) == (3, 0)
    assert facts["reset_seconds"] == facts["retry_after_seconds"]


async def test_keys_and_scopes_are_counted_apart(windows: Windows) -> None:
    limiter = CallLimiter(windows, LIMITS)
    for key in ("one", "two"):
        for _ in range(3):
            await limiter.hit(RateScope.AUTH, key)
    assert await limiter.hit(RateScope.GLOBAL, "one") == RateState(3, 2, 60)


async def test_of_several_keys_all_are_counted_and_the_fullest_is_told(windows: Windows) -> None:
    limiter = CallLimiter(windows, LIMITS)
    await limiter.hit(RateScope.AUTH, "account")
    state = await limiter.hit(RateScope.AUTH, "address", "account")
    assert state is not None
    assert state.remaining == 1
    await limiter.hit(RateScope.AUTH, "account")
    with pytest.raises(RateLimited):
        await limiter.hit(RateScope.AUTH, "address", "account")
    state = await limiter.hit(RateScope.AUTH, "address")
    assert state is not None
    assert state.remaining == 0, "the refused call counted for the address"


async def test_who_is_over_the_limit_uses_up_nobody_elses(windows: Windows) -> None:
    limiter = CallLimiter(windows, LIMITS)
    for name in ("a", "b", "c", "victim", "victim", "victim"):
        with suppress(RateLimited):
            await limiter.hit(RateScope.AUTH, "attacker", name)
    state = await limiter.hit(RateScope.AUTH, "elsewhere", "victim")
    assert state is not None
    assert state.remaining == 2, "the refused calls did not count for whom they named"


async def test_the_window_moves(limiter: CallLimiter, seconds: Seconds) -> None:
    for _ in range(3):
        await limiter.hit(RateScope.AUTH, "one")
        seconds.now += 10
    with pytest.raises(RateLimited) as caught:
        await limiter.hit(RateScope.AUTH, "one")
    assert caught.value.facts["retry_after_seconds"] == 30
    seconds.now += 29.9
    with pytest.raises(RateLimited):
        await limiter.hit(RateScope.AUTH, "one")
    seconds.now += 0.1
    assert await limiter.hit(RateScope.AUTH, "one") == RateState(3, 0, 10)
    with pytest.raises(RateLimited):
        await limiter.hit(RateScope.AUTH, "one")


async def test_refused_calls_do_not_lengthen_the_wait(
    limiter: CallLimiter, seconds: Seconds
) -> None:
    for _ in range(3):
        await limiter.hit(RateScope.AUTH, "one")
    for _ in range(6):
        seconds.now += 9.9
        with pytest.raises(RateLimited):
            await limiter.hit(RateScope.AUTH, "one")
    seconds.now += 0.7
    assert await limiter.hit(RateScope.AUTH, "one")


# Memory -------------------------------------------------------------------------------------


async def test_who_stopped_calling_is_forgotten(seconds: Seconds) -> None:
    windows = MemoryWindows(now=seconds)
    for number in range(1_000):
        await windows.take(f"address:{number}", 3)
    seconds.now += 59
    await windows.take("late", 3)
    assert len(windows) == 1_001
    seconds.now += 1
    await windows.take("later", 3)
    assert len(windows) == 2


async def test_many_callers_do_not_fill_the_memory_nor_lift_a_busy_ones_limit(
    seconds: Seconds,
) -> None:
    windows = MemoryWindows(keys_max=100, now=seconds)
    for number in range(5_000):
        await windows.take(f"address:{number}", 3)
        busy = await windows.take("busy", 3)
        assert busy is not None
        assert busy.has_room == (number < 3)
        assert len(windows) <= 100


async def test_a_key_holds_no_more_than_its_limit(seconds: Seconds) -> None:
    windows = MemoryWindows(now=seconds)
    for _ in range(500):
        seconds.now += 0.5
        await windows.take("one", 7)
    assert len(windows._calls["one"]) == 7


# Redis --------------------------------------------------------------------------------------


async def test_replicas_share_the_count(redis_server: RedisServer) -> None:
    one, two = (
        CallLimiter(RedisWindows(redis_server.url, SystemClock(), HASH_KEY), LIMITS)
        for _ in range(2)
    )
    await one.hit(RateScope.AUTH, "shared")
    await two.hit(RateScope.AUTH, "shared")
    await one.hit(RateScope.AUTH, "shared")
    with pytest.raises(RateLimited):
        await two.hit(RateScope.AUTH, "shared")
    await one.close()
    await two.close()


async def test_nobody_reads_names_or_addresses_in_redis(redis_server: RedisServer) -> None:
    limiter = CallLimiter(RedisWindows(redis_server.url, SystemClock(), HASH_KEY), LIMITS)
    await limiter.hit(RateScope.AUTH, "account:jane", "address:192.0.2.7")
    await limiter.close()
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        keys = [key async for key in client.scan_iter()]
        assert len(keys) >= 2
        assert all(key.startswith("fleetgraph:limit:") for key in keys)
        assert not any("jane" in key or "192.0" in key for key in keys)
        lives = [await client.ttl(key) for key in keys]
        assert all(0 < seconds <= 60 for seconds in lives)


async def test_without_redis_calls_go_on_counted_as_errors_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    windows = RedisWindows(f"redis://127.0.0.1:{free_port()}/0", SystemClock(), HASH_KEY)
    limiter = CallLimiter(windows, LIMITS)
    before = metrics.RATE_LIMIT_ERRORS._value.get()
    with caplog.at_level(logging.WARNING):
        for _ in range(9):
            windows._resumes_at = 0.0
            assert await limiter.hit(RateScope.AUTH, "one") is None
    assert metrics.RATE_LIMIT_ERRORS._value.get() == before + 9
    assert len(caplog.records) == 1
    assert "Redis fails" in caplog.text
    await limiter.close()


async def test_a_redis_that_hangs_delays_one_call_and_counts_again_when_it_is_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = RedisWindows(redis_server.url, SystemClock(), HASH_KEY)
    limiter = CallLimiter(windows, LIMITS)
    await limiter.hit(RateScope.AUTH, "hanging")
    redis_server.freeze()
    try:
        assert await limiter.hit(RateScope.AUTH, "hanging") is None
        with monkeypatch.context() as patch:
            patch.setattr(windows, "_storage", None)  # it is not asked
            assert await limiter.hit(RateScope.AUTH, "hanging") is None
    finally:
        redis_server.thaw()
    windows._resumes_at = 0.0
    state = await limiter.hit(RateScope.AUTH, "hanging")
    assert state is not None
    assert state.remaining <= 1
    await limiter.close()


# Addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("", "address:"),
        ("a:b", "address:a:b"),
    ],
)
def test_an_address_stands_for_its_customer(address: str, key: str) -> None:
    assert address_key(address) == key


async def test_a_look_counts_nothing(windows: Windows) -> None:
    limiter = CallLimiter(windows, LIMITS)
    for _ in range(9):
        await limiter.check(RateScope.AUTH, "looked")
    for _ in range(3):
        await limiter.hit(RateScope.AUTH, "looked")
    with pytest.raises(RateLimited) as caught:
        await limiter.check(RateScope.AUTH, "looked")
    assert 1 <= int(str(caught.value.facts["retry_after_seconds"])) <= 60


async def test_a_scope_may_be_counted_over_an_hour(redis_url: str | None) -> None:
    windows: Windows
    if redis_url is None:
        windows = MemoryWindows(seconds=HOUR)
    else:
        windows = RedisWindows(redis_url, SystemClock(), HASH_KEY, seconds=HOUR)
    limiter = CallLimiter(MemoryWindows(), LIMITS, {RateScope.PROVISIONING: windows})
    try:
        for left in (2, 1, 0):
            state = await limiter.hit(RateScope.PROVISIONING, "hourly")
            assert state
            assert state.remaining == left
            assert 3_590 <= state.reset_seconds <= HOUR
        with pytest.raises(RateLimited, match="per hour"):
            await limiter.check(RateScope.PROVISIONING, "hourly")
    finally:
        await limiter.close()
