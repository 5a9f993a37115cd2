"""Log lines as they are committed: the bus pokes, the batches tell."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.errors import InvalidInput
from core.events import LogsArrived, logs_topic
from core.feeds import Feed
from core.live import Look
from core.pubsub.base import Resync
from core.snapshots import Position, Snapshot
from models.agents import Agent
from models.device_logs import StoredLine, lines_of_batch
from models.fleets import Fleet
from models.log_arrivals import Arrival, TailScope, arrivals_between, current_snapshot
from models.log_conditions import LogFilter
from models.patience import patiently
from models.unit_of_work import database_errors
from resolvers.agent_logs import checked_log_filter

REPLAY_LINES_MAX: Final = 1_000
"""Lines that one look reads at most: the newest. What is older is counted as missed."""


@dataclass(frozen=True, slots=True)
class LogTail:
    """What is followed; the filter's times do not count."""

    wanted: LogFilter
    agent_uuid: UUID | None = None
    fleet_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TailBatch:
    """Lines that an agent sent together and that match.

    `missed` lines came before them, behind the cursor, and were too many to be told.
    """

    agent_uuid: UUID
    lines: list[StoredLine]
    missed: int
    position: Position
    xid: int
    look: Look

    @property
    def cursor(self) -> str:
        """Names everything delivered so far: resuming after it gives exactly the rest."""
        return self.position.encode()


@dataclass(frozen=True, slots=True)
class TailLook:
    """What one look brought: how far it reaches, and the first ids of all batches in it."""

    upto: Snapshot
    batches: list[TailBatch]
    first_ids: frozenset[int]


@allow(Permission.DEVICE_READ)
async def follow_logs(ctx: Context, tail: LogTail, after: str | None = None) -> LogFeed:
    """Return the feed of lines of an agent, of a fleet or of all agents, from `after` on.

    Raises NotFound, and InvalidInput for a cursor.
    """
    if tail.agent_uuid is not None and tail.fleet_id is not None:
        raise InvalidInput("fleetUuid", "does not go with `agentUuid`")
    wanted = checked_log_filter(tail.wanted)
    scope = TailScope(ctx.tenant_id, fleet_id=tail.fleet_id)
    with database_errors():
        if tail.agent_uuid is not None:
            agent = await Agent.find_row(ctx.tenant_id, uuid=tail.agent_uuid)
            scope = replace(scope, agent_id=agent.id)
        if tail.fleet_id is not None:
            await Fleet.find_row(ctx.tenant_id, id=tail.fleet_id)
        position = None if after is None else await _position(after)
    return LogFeed(ctx, replace(tail, wanted=wanted), scope, position)


@allow(Permission.DEVICE_READ)
async def look_at_logs(
    ctx: Context, scope: TailScope, wanted: LogFilter, since: Position | None
) -> TailLook:
    """Return what was committed since a position, up to now; with None how far now reaches."""
    with database_errors():
        upto = await current_snapshot()
        if since is None:
            return TailLook(upto, [], frozenset())
        found: list[tuple[Look, Arrival]] = []
        missed = 0
        for step in _steps(since, upto):
            assert step.upto is not None
            own = replace(scope, tenant_id=ctx.tenant_id)
            arrivals, left_out = await arrivals_between(own, step, step.upto)
            look = Look(step.base, step.upto, frozenset(each.xid for each in arrivals))
            found += [(look, each) for each in arrivals]
            missed += left_out
        batches = await _read(ctx, found, wanted, missed)
    return TailLook(upto, batches, frozenset(arrival.first_id for _, arrival in found))


class LogFeed(Feed[TailBatch, Snapshot]):
    """Lines as agents send them; begins with what came since a position, if one is given."""

    def __init__(
        self, ctx: Context, tail: LogTail, scope: TailScope, after: Position | None
    ) -> None:
        self._ctx = ctx
        self._tail = tail
        self._scope = scope
        self._after = after

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[TailBatch]]:
        """Listen on the bus; whatever it tells, batches are read from where the last look ended."""
        async with self._ctx.bus.subscribe(logs_topic(self._ctx.tenant_id)) as events:
            start = await self._look(None)
            async with aclosing(self._arriving(events, start.upto)) as batches:
                yield batches

    async def prelude(
        self, since: Snapshot | None
    ) -> tuple[Snapshot, AsyncGenerator[TailBatch, None]]:
        """Return how far now reaches, and what came up to it since the cursor or the mark."""
        look = await self._look(self._after if since is None else Position(since))
        return look.upto, _each(look.batches)

    def beyond(self, event: TailBatch, mark: Snapshot) -> TailBatch | None:
        """Return the batch unless `mark` showed it, with a cursor for who has seen that."""
        if mark.sees(event.xid):
            return None
        if not event.look.overlaps(mark):
            return event
        return replace(event, position=event.position.having_seen(mark))

    def is_past(self, event: TailBatch, mark: Snapshot) -> bool:
        """Whether the look that brought it began with `mark` or later."""
        return event.look.base.covers(mark)

    def key(self, event: TailBatch) -> Hashable:
        """Return the agent: who is slow gets its newest batch."""
        return event.agent_uuid

    async def _look(self, since: Position | None) -> TailLook:
        wanted = self._tail.wanted
        return await patiently(partial(look_at_logs, self._ctx, self._scope, wanted, since))

    async def _arriving(
        self, events: AsyncIterator[LogsArrived | Resync], base: Snapshot
    ) -> AsyncGenerator[TailBatch, None]:
        told: frozenset[int] = frozenset()
        async for event in events:
            if isinstance(event, LogsArrived):
                is_wanted = self._tail.agent_uuid in {None, event.agent_uuid}
                if not is_wanted or event.first_id in told:
                    continue
            look = await self._look(Position(base))
            base, told = look.upto, look.first_ids
            for batch in look.batches:
                yield batch


async def _position(after: str) -> Position:
    position = Position.decode(after)
    newest = (position.upto or position.base).xmax
    if newest > (await current_snapshot()).xmax:
        raise InvalidInput("after", "is of another database; start without it")
    return position


def _steps(since: Position, upto: Snapshot) -> list[Position]:
    """Return the rest of the look that a position stands in, and the look that follows."""
    if since.upto is None:
        return [Position(since.base, upto)]
    return [since, Position(since.upto, upto)]


async def _read(
    ctx: Context, found: Sequence[tuple[Look, Arrival]], wanted: LogFilter, missed: int
) -> list[TailBatch]:
    """Return the newest of the batches with their lines, as many as a look may read."""
    room = REPLAY_LINES_MAX
    batches: list[TailBatch] = []
    for look, arrival in reversed(found):
        taken = min(room, arrival.line_count)
        missed += arrival.line_count - taken
        room -= taken
        if taken == 0:
            continue
        lines = await lines_of_batch(ctx.tenant_id, arrival, wanted, taken)
        position = Position(look.base, look.upto, arrival.id)
        batches.append(TailBatch(arrival.agent_uuid, lines, 0, position, arrival.xid, look))
    batches.reverse()
    if batches and missed:
        batches[0] = replace(batches[0], missed=missed)
    return [batch for batch in batches if batch.lines or batch.missed]


async def _each(batches: list[TailBatch]) -> AsyncGenerator[TailBatch, None]:
    for batch in batches:
        yield batch
