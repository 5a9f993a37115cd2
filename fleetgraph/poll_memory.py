"""What this process remembers of polls: whose key it was, and the tag of what the agent has.

An entry is trusted while the bus tells of every change: what takes access away or changes a target
state drops it, a gap in the bus drops all. Should a message be lost, the next look at the database
finds out: every entry is held against it again and again, many in one statement, so that the polls
themselves ask nothing. See docs/adr/0016.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final
from uuid import UUID

from core.callers import Caller
from core.context import Context
from core.errors import Unavailable
from core.events import ACCESS, TARGET_STATES, AccessChanged, TargetStateChanged
from core.pubsub.base import Topic
from resolvers.agents import mark_seen
from resolvers.target_states import find_polled_etags
from workers.supervisor import Periodic, Worker

ENTRIES_MAX: Final = 100_000
LIFE_SECONDS: Final = 30.0
"""How long an entry is trusted after it was held against the database."""

LOOK_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 600.0
"""Entries of agents that poll no more are dropped."""

FLUSH_SECONDS: Final = 3.0
BATCH: Final = 5_000


@dataclass(slots=True, eq=False)
class Poll:
    """What a device key gets; `size` is the length of the body, as a header says it."""

    digest: bytes
    caller: Caller
    path: str
    etag: str
    size: bytes
    checked_at: float
    used_at: float


class PollMemory:
    """Polls by the digest of the device key."""

    def __init__(
        self, *, entries_max: int = ENTRIES_MAX, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries_max = entries_max
        self._now = now
        self._polls: dict[bytes, Poll] = {}
        self._by_agent: dict[UUID | int, set[Poll]] = {}
        self._deaf = {TARGET_STATES.name, ACCESS.name}
        self._seen: set[int] = set()
        self.generation = 0
        """Moves with everything that is dropped: what was read before may be stale."""

    def __len__(self) -> int:
        """Return how many polls are remembered."""
        return len(self._polls)

    @property
    def hears_all(self) -> bool:
        """Whether every change is heard; without that nothing is remembered."""
        return not self._deaf

    @property
    def now(self) -> float:
        """The time that entries are dated with."""
        return self._now()

    def find(self, digest: bytes) -> Poll | None:
        """Return what a key gets, if that is known now."""
        poll = self._polls.get(digest)
        if poll is None:
            return None
        now = self._now()
        if now >= poll.checked_at + LIFE_SECONDS:
            return None
        poll.used_at = now
        return poll

    def put(self, poll: Poll, generation: int) -> None:
        """Remember a poll that was read since `generation`, unless something was dropped since."""
        if not self.hears_all or generation != self.generation:
            return
        self._drop(self._polls.get(poll.digest))
        if len(self._polls) >= self._entries_max:
            self._drop(next(iter(self._polls.values())))
        self._polls[poll.digest] = poll
        for id_ in _ids_of(poll):
            self._by_agent.setdefault(id_, set()).add(poll)

    def forget(self, agent: UUID | int) -> None:
        """Drop what is known of an agent."""
        self.generation += 1
        for poll in list(self._by_agent.get(agent, ())):
            self._drop(poll)

    def forget_all(self) -> None:
        """Drop everything."""
        self.generation += 1
        self._polls.clear()
        self._by_agent.clear()

    def listen(self, topic: str) -> None:
        """Note that changes on `topic` are heard from now on."""
        self.forget_all()
        self._deaf.discard(topic)

    def stop_listening(self, topic: str) -> None:
        """Note that changes on `topic` are not heard: nothing is remembered meanwhile."""
        self._deaf.add(topic)
        self.forget_all()

    def see(self, agent_id: int) -> None:
        """Note that an agent is there."""
        self._seen.add(agent_id)

    async def look(self, ctx: Context) -> None:
        """Hold what is remembered against the database; `ctx` is the system's."""
        now = self._now()
        for poll in list(self._polls.values()):
            if now - poll.used_at > IDLE_SECONDS:
                self._drop(poll)
        due = iter([poll for poll in self._polls.values() if now - poll.checked_at >= LOOK_SECONDS])
        while batch := list(islice(due, BATCH)):
            now = self._now()
            etags = await find_polled_etags(ctx, [poll.digest for poll in batch])
            self._confirm(batch, etags, now)

    async def flush(self, ctx: Context) -> None:
        """Write who was seen; while the database is away that is kept. `ctx` is the system's."""
        while self._seen:
            batch = list(islice(self._seen, BATCH))
            self._seen.difference_update(batch)
            try:
                await mark_seen(ctx, batch)
            except Unavailable:
                self._seen.update(batch)
                return

    def _confirm(self, polls: Iterable[Poll], etags: Mapping[bytes, str], now: float) -> None:
        for poll in polls:
            if self._polls.get(poll.digest) is not poll:
                continue  # it was dropped, or read anew, while the database was asked
            if etags.get(poll.digest) == poll.etag:
                poll.checked_at = now
            else:
                self._drop(poll)

    def _drop(self, poll: Poll | None) -> None:
        if poll is None or self._polls.pop(poll.digest, None) is None:
            return
        for id_ in _ids_of(poll):
            same = self._by_agent[id_]
            same.discard(poll)
            if not same:
                del self._by_agent[id_]


class _Changes:
    """The worker that hears of one kind of change, anywhere in the system."""

    def __init__(self, memory: PollMemory, topic: Topic[Any], ctx: Context) -> None:
        self.name = f"polls and {topic.name}"
        self._memory = memory
        self._topic = topic
        self._ctx = ctx

    async def run(self) -> None:
        """Drop what has changed, until cancelled."""
        try:
            async with self._ctx.bus.subscribe(self._topic) as events:
                self._memory.listen(self._topic.name)
                async for event in events:
                    self._hear(event)
        finally:
            self._memory.stop_listening(self._topic.name)

    def _hear(self, event: object) -> None:
        if isinstance(event, TargetStateChanged):
            self._memory.forget(event.agent_uuid)
        elif not isinstance(event, AccessChanged):
            self._memory.forget_all()
        elif event.agent_id is not None:
            self._memory.forget(event.agent_id)


def poll_workers(memory: PollMemory, ctx: Context) -> list[Worker]:
    """Return what keeps a process's memory of polls true; `ctx` is the system's."""
    return [
        _Changes(memory, TARGET_STATES, ctx),
        _Changes(memory, ACCESS, ctx),
        Periodic("polls", LOOK_SECONDS, partial(memory.look, ctx)),
        Periodic("sightings", FLUSH_SECONDS, partial(memory.flush, ctx)),
    ]


def _ids_of(poll: Poll) -> list[UUID | int]:
    ids = (poll.caller.agent_uuid, poll.caller.agent_id)
    return [id_ for id_ in ids if id_ is not None]
