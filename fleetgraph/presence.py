"""Who has something open in this process, and how it ends when their access does.

Sockets and streams are judged once, when they open. What takes access away is published on ACCESS;
should a message be lost, a look at the database every half minute finds out as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from uuid import UUID

from core.callers import Caller
from core.context import Context
from core.events import ACCESS, AccessChanged
from core.pubsub.base import Resync
from resolvers.standing import find_fallen
from workers.supervisor import Periodic, Worker

LOOK_SECONDS: Final = 30.0
NEW_SECONDS: Final = 1.0
"""When to look at what was just opened: access may have ended between the check and `enter`."""

End = Callable[[], None]


class _Open:
    __slots__ = ("caller", "end")

    def __init__(self, caller: Caller, end: End) -> None:
        self.caller = caller
        self.end = end


class Presence:
    """What is open, by the ids of the caller that it is open for."""

    def __init__(self) -> None:
        self._by_id: dict[UUID | int, set[_Open]] = {}
        self._new: set[_Open] = set()

    @property
    def open_count(self) -> int:
        """How many sockets and streams of known callers are open."""
        return len(self._all())

    def enter(self, caller: Caller, end: End) -> End:
        """Note what has been opened for `caller`; call what this returns when it has closed.

        `end` is called once access has ended. It must not wait for anything.
        """
        opened = _Open(caller, end)
        for id_ in _ids_of(caller):
            self._by_id.setdefault(id_, set()).add(opened)
            self._new.add(opened)
        return partial(self._leave, opened)

    def end_changed(self, change: AccessChanged) -> None:
        """End what is open for the one that has changed."""
        id_ = change.session_id or change.user_id or change.api_key_id or change.agent_id
        if id_ is not None:
            self._end(self._by_id.get(id_, ()))

    async def look(self, ctx: Context) -> None:
        """Hold everything that is open against the database, and end what should not be."""
        await self._look(ctx, self._all())

    async def look_at_new(self, ctx: Context) -> None:
        """Do so for what has been opened since the last time."""
        new, self._new = self._new, set()
        try:
            await self._look(ctx, new)
        except BaseException:
            self._new |= new & self._all()
            raise

    async def _look(self, ctx: Context, opened: set[_Open]) -> None:
        if not opened:
            return
        fallen = await find_fallen(ctx, {each.caller for each in opened})
        self._end(each for each in opened if each.caller in fallen)

    def _all(self) -> set[_Open]:
        return set().union(*self._by_id.values())

    def _end(self, opened: Iterable[_Open]) -> None:
        for each in list(opened):
            self._leave(each)
            each.end()

    def _leave(self, opened: _Open) -> None:
        self._new.discard(opened)
        for id_ in _ids_of(opened.caller):
            same = self._by_id.get(id_)
            if same is not None:
                same.discard(opened)
                if not same:
                    del self._by_id[id_]


class AccessListener:
    """The worker that hears of access taken away, anywhere in the system."""

    name = "access"

    def __init__(self, presence: Presence, ctx: Context, look: Periodic) -> None:
        self._presence = presence
        self._ctx = ctx
        self._look = look

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._ctx.bus.subscribe(ACCESS) as changes:
            self._look.poke()  # for what went by while nobody listened
            async for change in changes:
                if isinstance(change, Resync):
                    self._look.poke()
                else:
                    self._presence.end_changed(change)
                    await asyncio.sleep(0)  # a thousand at once must not hold up the rest


def presence_workers(presence: Presence, ctx: Context) -> list[Worker]:
    """Return what ends the open things of a process; `ctx` is the system's."""
    look = Periodic("presence", LOOK_SECONDS, partial(presence.look, ctx))
    new = Periodic("newcomers", NEW_SECONDS, partial(presence.look_at_new, ctx))
    return [look, new, AccessListener(presence, ctx, look)]


def _ids_of(caller: Caller) -> list[UUID | int]:
    ids = (caller.user_id, caller.session_id, caller.api_key_id, caller.agent_id)
    return [id_ for id_ in ids if id_ is not None]
