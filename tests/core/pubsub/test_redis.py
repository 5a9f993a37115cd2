"""The bus on Redis: what is its own."""

from __future__ import annotations

import logging

import pytest

from core.pubsub.redis import RedisPubSub
from tests.contracts.test_pubsub import (
    COUNTS,
    Counted,
    RedisServer,
    free_port,
    numbers,
    redis_server,
    running,
    take,
)

__all__ = ["redis_server"]


async def test_prefixes_keep_installations_apart(redis_server: RedisServer) -> None:
    one = RedisPubSub(redis_server.url, prefix="one")
    two = RedisPubSub(redis_server.url, prefix="two")
    also_two = RedisPubSub(redis_server.url, prefix="two")
    async with running(one), running(two), running(also_two), two.subscribe(COUNTS) as events:
        await one.publish(COUNTS, Counted(1))
        await one.stop()  # sent
        await also_two.publish(COUNTS, Counted(2))
        assert numbers(await take(events, 1)) == [2]


async def test_a_wrong_address_is_said_once_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = RedisPubSub(f"redis://127.0.0.1:{free_port()}")
    with caplog.at_level(logging.WARNING):
        async with running(bus), bus.subscribe(COUNTS) as events:
            for number in range(3):
                await bus.publish(COUNTS, Counted(number))
            assert numbers(await take(events, 3)) == [0, 1, 2]
    assert len(caplog.records) == 1
    assert "the bus on Redis is away" in caplog.text
