"""The bus on PostgreSQL's LISTEN and NOTIFY, for many processes without Redis.

Every NOTIFY takes a lock that all committing notifiers share, so pokes that wait together go
out in one statement and equal ones only once. Needs direct connections: behind a pooler that
shares sessions LISTEN hears nothing, which shows as a link that is lost again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from core.pubsub.carried import CarriedPubSub, Link
from models.database import DatabaseUrl

_CHANNEL: Final = "fleetgraph_bus"
_SECONDS_MAX: Final = 5.0
_NOTIFY: Final = "select pg_notify($1, message) from unnest($2::text[]) as message"


class PostgresPubSub(CarriedPubSub):
    """Publishes on one channel of the database; holds two connections to it."""

    carrier = "PostgreSQL"
    event_bytes_max = 7_900  # PostgreSQL takes 7,999 bytes, the origin's line needs 17

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__()
        self._url = url

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        async with self._connection() as listener, self._connection() as sender:
            link = _PostgresLink(sender)
            listener.add_termination_listener(link.lost)
            await listener.add_listener(_CHANNEL, link.hear)
            yield link

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(
            **self._url.arguments(),
            timeout=_SECONDS_MAX,
            command_timeout=_SECONDS_MAX,
            server_settings={"application_name": "fleetgraph bus"},
        )
        try:
            yield connection
        finally:
            with suppress(Exception):  # ends by itself, or was lost anyway
                await connection.close(timeout=1.0)


class _PostgresLink:
    def __init__(self, sender: asyncpg.Connection) -> None:
        self._sender = sender
        self._heard: asyncio.Queue[str | None] = asyncio.Queue()

    def hear(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        """Take a notification from the driver."""
        self._heard.put_nowait(payload)

    def lost(self, connection: Any) -> None:
        """Learn from the driver that the listening connection has ended."""
        self._heard.put_nowait(None)

    async def receive(self) -> str:
        message = await self._heard.get()
        if message is None:
            raise ConnectionError("PostgreSQL closed the listening connection")
        return message

    async def send(self, messages: Sequence[str]) -> None:
        await self._sender.execute(_NOTIFY, _CHANNEL, list(messages))
