"""Shared live execution: identical subscriptions are resolved once per event and encoded once.

A transport opens a subscription for a Member and gets a Ticket. It calls `Ticket.flush` when a
member that was not ready is so again, and `Ticket.close` in the end: also after `Member.cut` and
`Member.complete`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any

from schema.context import GraphQLContext
from schema.execution.documents import Prepared
from schema.execution.engine import Engine
from schema.execution.feeds import group_key, impersonal_context, is_resumable
from schema.execution.groups import Encode, Group
from schema.execution.seats import Member, Seat, SlowWatch

__all__ = ["LiveSubscriptions", "Member", "Ticket"]


class Ticket:
    """A member's hold on its subscription."""

    __slots__ = ("_group", "_seat")

    def __init__(self, group: Group, seat: Seat) -> None:
        self._group = group
        self._seat = seat

    def flush(self) -> None:
        """Send what waits: the member is ready again."""
        self._seat.flush()

    async def close(self) -> None:
        """End the subscription; safe to call twice. After the last one the source is closed."""
        await self._group.leave(self._seat)


class LiveSubscriptions:
    """All open subscriptions of the process."""

    def __init__(
        self, engine: Engine, encode: Encode, *, queue_events: int, slow_seconds: float
    ) -> None:
        """See Encode for `encode`.

        A member for which more than `queue_events` events wait that must not be lost, or that
        takes nothing for `slow_seconds` while something waits, is cut.
        """
        self._engine = engine
        self._encode = encode
        self._queue_events = queue_events
        self._watch = SlowWatch(slow_seconds)
        self._groups: dict[Hashable, Group] = {}

    @property
    def group_count(self) -> int:
        """How many sources are open."""
        return len(self._groups)

    async def open(
        self,
        prepared: Prepared,
        variables: Mapping[str, Any] | None,
        context: GraphQLContext,
        member: Member,
    ) -> Ticket:
        """Follow a subscription; raises Refused when it cannot be opened.

        `variables` are JSON values. What goes wrong later reaches the member as its last answer.
        """
        given = variables or {}
        following = await self._engine.subscribe(prepared, given, context)
        caller = context.ctx.caller
        key = group_key(prepared, given, caller, resumable=is_resumable(following.source))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._new_group(key, prepared, given, context)
        seat = Seat(member, self._watch, self._queue_events)
        group.join(seat, following)
        return Ticket(group, seat)

    async def stop(self) -> None:
        """Close every source."""
        await asyncio.gather(*(group.stop() for group in tuple(self._groups.values())))

    def _new_group(
        self,
        key: Hashable,
        prepared: Prepared,
        variables: Mapping[str, Any],
        context: GraphQLContext,
    ) -> Group:
        shared = impersonal_context(context.ctx)

        def forget() -> None:
            if self._groups.get(key) is group:
                del self._groups[key]

        group = Group(
            lambda: self._engine.subscribe(prepared, variables, shared),
            self._encode,
            shared,
            queue_events=self._queue_events,
            on_end=forget,
        )
        return group
