"""One transaction, and the events that leave after it has committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from tortoise.exceptions import DBConnectionError, OperationalError
from tortoise.transactions import in_transaction

from core.audit import AuditEntry
from core.context import Context
from core.errors import Unavailable
from core.pubsub.base import E, Event, Topic
from models.audit import append_audit

AWAY = (
    OSError,
    TimeoutError,
    DBConnectionError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.ReadOnlySQLTransactionError,  # a standby that was not promoted yet
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,  # cancelled, shutting down, starting
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,
)
"""What the driver and the ORM raise when trying again later makes sense: the server is away,
starting, stopping, full, or chose this transaction to give way."""


class Work:
    """Collects what is to be published and recorded; nothing leaves when the transaction fails."""

    def __init__(self) -> None:
        self._events: list[tuple[Topic[Event], Event]] = []
        self._entries: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        """Write `entry` to the audit log, in the transaction."""
        self._entries.append(entry)

    async def write_record(self, ctx: Context) -> None:
        """Write what was recorded."""
        if self._entries:
            await append_audit(ctx, self._entries)

    def emit(self, topic: Topic[E], event: E) -> None:
        """Publish `event` on `topic` after the commit."""
        self._events.append((topic, event))  # type: ignore[arg-type]  # a topic takes its own type

    async def publish(self, ctx: Context) -> None:
        """Send what was collected, in order."""
        for topic, event in self._events:
            await ctx.bus.publish(topic, event)


@asynccontextmanager
async def unit_of_work(ctx: Context) -> AsyncIterator[Work]:
    """Run the block in one transaction; its events leave after the commit.

    Raises Unavailable when the database is away.
    """
    work = Work()
    with database_errors():
        async with in_transaction("default"):
            yield work
            await work.write_record(ctx)
    await work.publish(ctx)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn "the server is away" into Unavailable; every other error passes through."""
    try:
        yield
    except AWAY as error:
        raise Unavailable("database") from error
    except OperationalError as error:
        # Tortoise wraps the driver's errors; only the inner one tells why.
        if any(isinstance(inner, AWAY) for inner in (*error.args, error.__cause__)):
            raise Unavailable("database") from error
        raise
