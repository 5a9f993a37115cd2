"""The bus on Redis: one connection listens, one sends, and nothing is stored there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub as Subscriber
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from core.pubsub.carried import CarriedPubSub, Link

_SECONDS_MAX: Final = 5.0
"""For connecting and for every answer."""


class RedisPubSub(CarriedPubSub):
    """Publishes on one channel per prefix; the database number in the URL does not matter."""

    carrier = "Redis"

    def __init__(self, url: str, *, prefix: str = "fleetgraph") -> None:
        super().__init__()
        self._url = url
        self._channel = f"{prefix}:bus"

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        async with self._client() as client, client.pubsub() as subscriber:
            await subscriber.subscribe(self._channel)
            confirmation = await subscriber.get_message(timeout=_SECONDS_MAX)
            if confirmation is None or confirmation["type"] != "subscribe":
                raise RedisConnectionError("Redis did not confirm the subscription")
            yield _RedisLink(client, subscriber, self._channel)

    def _client(self) -> Redis:
        # No retries inside the library: it would subscribe again without telling of the gap.
        return Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=_SECONDS_MAX,
            socket_connect_timeout=_SECONDS_MAX,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),
        )


class _RedisLink:
    def __init__(self, client: Redis, subscriber: Subscriber, channel: str) -> None:
        self._client = client
        self._subscriber = subscriber
        self._channel = channel

    async def receive(self) -> str:
        while True:
            message = await self._subscriber.get_message(timeout=None)
            if message is None:  # the answer to the library's own health check
                continue
            if message["type"] != "message":
                raise RedisConnectionError("the subscription was interrupted")
            return str(message["data"])

    async def send(self, messages: Sequence[str]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(self._channel, message)
            await pipeline.execute()
