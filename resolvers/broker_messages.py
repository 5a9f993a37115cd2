"""Messages to agents on their way to the broker: what a publisher takes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from core.access import Permission, allow
from core.context import Context
from models.broker_messages import (
    BrokerMessage,
    claim_messages,
    publish_again,
    release_messages,
    tidy_messages,
)
from models.unit_of_work import database_errors

__all__ = ["BrokerMessage"]

PUBLISHING: Final = timedelta(seconds=60)
"""How long a publisher keeps a message to itself; one that died gives it back so late."""

CLEARED_KEPT: Final = timedelta(days=1)
"""An empty message is sent again for so long to a broker that comes back: one that crashed may
bring a message back that was taken away."""


@allow(Permission.SYSTEM)
async def take_messages(ctx: Context, limit: int) -> list[BrokerMessage]:
    """Return messages that have waited longest; nobody else gets them while they are published."""
    now = ctx.clock.now()
    with database_errors():
        return await claim_messages(now, now + PUBLISHING, limit)


@allow(Permission.SYSTEM)
async def give_messages_back(
    ctx: Context, messages: Sequence[BrokerMessage], *, published: bool
) -> None:
    """Note that the broker has these, or let them wait; what changed meanwhile waits anyway."""
    with database_errors():
        await release_messages(messages, published=published)


@allow(Permission.SYSTEM)
async def publish_all_again(ctx: Context) -> None:
    """Let every message be published once more."""
    with database_errors():
        await publish_again()


@allow(Permission.SYSTEM)
async def tidy_up_messages(ctx: Context) -> bool:
    """Take away messages to agents that are gone; returns whether there were any."""
    now = ctx.clock.now()
    with database_errors():
        return await tidy_messages(now, now - CLEARED_KEPT)
