"""MQTT to the database: decode, gather, commit, and only then acknowledge.

Readings of all agents are committed together, as many as arrived while the commit before was
under way. Everything else an agent says goes message by message through its use case, in order
per agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from prometheus_client import Counter

from core import metrics
from core.callers import Caller, Role
from core.clock import micros
from core.context import Context
from core.errors import AppError, Unavailable
from core.mqtt_topics import BadTopic, parse
from core.payloads import Undecodable, decode_object
from core.reading_store import AgentTelemetry
from core.telemetry import decode
from models.agent_traffic import Tally
from models.agents import AgentIdentity
from models.dead_letters import DeadLetter
from resolvers.agent_events import record_agent_event
from resolvers.agents import find_topic_agent, mark_seen
from resolvers.current_states import report_metrics, report_state
from resolvers.dead_letters import record_dead_letters
from resolvers.readings import record_readings
from workers.agent_traffic import TrafficCounter
from workers.mqtt import BrokerLink
from workers.persisting import persist

_log = logging.getLogger(__name__)

PENDING_READINGS_MAX = 50_000
"""Beyond this the broker is made to wait; below a fifth of it, it may send again."""

GATHER_SECONDS = 0.004
"""How long a small batch waits for company."""

GATHER_READINGS = 2_000
ROUTES_SECONDS = 10.0
_SHARDS = 4
_DRAIN_SECONDS_MAX = 2.0
_KINDS = {"endpoints", "state", "metrics", "events", "agent", "jobs", "meta"}
_OURS = {("agent", "update"), ("agent", "shell")}


@dataclass(frozen=True, slots=True)
class _Route:
    agent: AgentIdentity
    channel: tuple[str, ...]
    counted: Counter  # looking a label up costs a tenth of all that a message costs
    tally: Tally


class Ingest:
    """The worker behind the broker link. `link_to` makes the link around our handler."""

    name = "ingest"

    def __init__(self, ctx: Context, link_to: Callable[[Ingest], BrokerLink]) -> None:
        self._ctx = ctx
        self._link = link_to(self)
        self._traffic = TrafficCounter(ctx)
        self._routes: dict[str, _Route] = {}
        self._routes_until = 0.0
        self._finding: dict[str, asyncio.Task[_Route | None]] = {}
        self._pending: list[AgentTelemetry] = []
        self._pending_readings = 0
        self._committed: asyncio.Future[None] | None = None
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._paused = False
        self._shards: list[asyncio.Queue[tuple[Callable[[], Awaitable[None]], _Done]]] = []

    async def run(self) -> None:
        """Receive until cancelled; then commit what was received before the link closes."""
        self._start_over()
        self._shards = [asyncio.Queue() for _ in range(_SHARDS)]
        tasks = [
            asyncio.create_task(self._link.run(), name="ingest link"),
            asyncio.create_task(self._commit_for_ever(), name="ingest commit"),
            asyncio.create_task(self._traffic.run(), name="ingest traffic"),
            *(asyncio.create_task(_work_off(shard), name="ingest shard") for shard in self._shards),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._link.pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS_MAX):
                    await self._idle.wait()
            await asyncio.sleep(0)  # lets the acknowledgements out
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._give_back()
            await self._traffic.close()

    def _give_back(self) -> None:
        """Tell handlers that still wait that nobody will store their message in this run."""
        for shard in self._shards:
            while not shard.empty():
                _fail(shard.get_nowait()[1])
        if self._committed is not None:
            _fail(self._committed)

    def _start_over(self) -> None:
        """Forget what a run that failed left behind: the broker sends again what it never stored."""
        self._pending, self._pending_readings, self._committed = [], 0, None
        self._arrived.clear()
        self._idle.set()
        self._paused = False
        self._link.resume()

    async def handle(self, topic: str, payload: bytes, retained: bool) -> None:
        """Take one message; returns once it is stored, in whatever form."""
        route = self._route_known(topic) or await self._find_route_once(topic)
        if route is None:
            metrics.MQTT_MESSAGES.labels("unknown").inc()
            await self._bury(topic, 0, None, [("no such agent, or deactivated", payload)])
            return
        kind = route.channel[0]
        route.counted.inc()
        if kind == "endpoints":
            await self._take_telemetry(topic, route, payload)
        elif kind != "meta" and route.channel not in _OURS:
            shard = self._shards[route.agent.agent_id % _SHARDS]
            done: _Done = asyncio.get_running_loop().create_future()
            now = self._ctx.clock.now()
            step = partial(self._take_other, topic, route, payload, retained, now)
            shard.put_nowait((step, done))
            await done
        route.tally.count(len(payload), self._ctx.clock.now())  # not what comes again

    # Readings -----------------------------------------------------------------------------

    async def _take_telemetry(self, topic: str, route: _Route, payload: bytes) -> None:
        agent = route.agent
        try:
            telemetry = decode(payload, micros(self._ctx.clock.now()))
        except Undecodable as error:
            await self._bury(topic, agent.tenant_id, agent.agent_id, [(str(error), payload)])
            return
        if telemetry.rejects:
            parts = [(reject.reason, reject.part.encode()) for reject in telemetry.rejects]
            await self._bury(topic, agent.tenant_id, agent.agent_id, parts)
        if not len(telemetry):
            return
        self._pending.append(
            AgentTelemetry(agent.tenant_id, agent.agent_id, agent.agent_uuid, telemetry)
        )
        self._pending_readings += len(telemetry)
        if self._committed is None:
            self._committed = asyncio.get_running_loop().create_future()
        committed = self._committed
        self._arrived.set()
        self._idle.clear()
        if self._pending_readings > PENDING_READINGS_MAX:
            self._push_back()
        await committed

    async def _commit_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            if self._pending_readings < GATHER_READINGS:
                await asyncio.sleep(GATHER_SECONDS)
            batch, committed = self._pending, self._committed
            self._pending, self._committed = [], None
            self._arrived.clear()
            try:
                with metrics.INGEST_COMMIT_SECONDS.time():
                    await self._commit(batch)
            except BaseException:
                if committed is not None:
                    _fail(committed)
                raise
            self._pending_readings -= sum(len(item.telemetry) for item in batch)
            self._push_back()
            if committed is not None and not committed.done():
                committed.set_result(None)
            if not self._pending:
                self._idle.set()

    async def _commit(self, batch: Sequence[AgentTelemetry]) -> None:
        try:
            await persist(partial(record_readings, self._ctx, batch))
        except Exception:
            if len(batch) == 1:
                await self._commit_or_bury(batch[0])
                return
            # Something in here the database refuses: find it, the rest must live.
            middle = len(batch) // 2
            await self._commit(batch[:middle])
            await self._commit(batch[middle:])
            return
        try:
            await mark_seen(self._ctx, {item.agent_id for item in batch})
        except Unavailable:
            pass  # the next batch says it again
        except Exception:
            _log.exception("agents that were heard cannot be marked")

    async def _commit_or_bury(self, item: AgentTelemetry) -> None:
        """Try once more, since a deadlock or a partition that went away is nobody's fault."""
        try:
            await persist(partial(record_readings, self._ctx, [item]))
        except Exception:
            _log.exception("a message of agent %s cannot be stored", item.agent_uuid)
            await self._bury_telemetry(item)

    async def _bury_telemetry(self, item: AgentTelemetry) -> None:
        specs = [spec._asdict() for spec in item.telemetry.specs]
        body = repr((specs, item.telemetry.times_us.tolist(), item.telemetry.values.tolist()))
        await self._bury(
            "endpoints", item.tenant_id, item.agent_id, [("cannot be stored", body.encode())]
        )

    def _push_back(self) -> None:
        metrics.INGEST_PENDING.set(self._pending_readings)
        if not self._paused and self._pending_readings > PENDING_READINGS_MAX:
            self._paused = True
            self._link.pause()
        elif self._paused and self._pending_readings < PENDING_READINGS_MAX // 5:
            self._paused = False
            self._link.resume()
        metrics.INGEST_PAUSED.set(self._paused)

    # Everything else ----------------------------------------------------------------------

    async def _take_other(
        self, topic: str, route: _Route, payload: bytes, retained: bool, came_at: datetime
    ) -> None:
        agent = route.agent
        caller = Caller(
            Role.AGENT, agent.tenant_id, agent_id=agent.agent_id, agent_uuid=agent.agent_uuid
        )
        ctx = self._ctx.acting_as(caller)
        try:
            if route.channel == ("state",):
                body = decode_object(payload)
                await persist(partial(report_state, ctx, body, transport="mqtt", came_at=came_at))
            elif route.channel == ("metrics",):
                await persist(partial(report_metrics, ctx, decode_object(payload)))
            else:
                channel = "/".join(route.channel)
                await persist(partial(record_agent_event, ctx, channel, payload, retained=retained))
        except (Undecodable, AppError) as error:
            await self._bury(topic, agent.tenant_id, agent.agent_id, [(str(error), payload)])
        except Exception as error:
            _log.exception("a message on %s cannot be stored", topic)
            reason = f"cannot be stored: {type(error).__name__}"
            await self._bury(topic, agent.tenant_id, agent.agent_id, [(reason, payload)])

    # Shared -------------------------------------------------------------------------------

    def _route_known(self, topic: str) -> _Route | None:
        now = asyncio.get_running_loop().time()
        if now > self._routes_until:
            # A deactivated agent must stop being heard soon.
            self._routes.clear()
            self._routes_until = now + ROUTES_SECONDS
        return self._routes.get(topic)

    async def _find_route_once(self, topic: str) -> _Route | None:
        """Look a topic up once, however many of its messages wait for the answer."""
        finding = self._finding.get(topic)
        if finding is None:
            finding = asyncio.ensure_future(persist(partial(self._find_route, topic)))
            self._finding[topic] = finding
            finding.add_done_callback(lambda _: self._finding.pop(topic, None))
        return await asyncio.shield(finding)

    async def _find_route(self, topic: str) -> _Route | None:
        try:
            address = parse(topic)
        except BadTopic:
            return None
        agent = await find_topic_agent(self._ctx, address.tenant, address.agent)
        if agent is None:
            return None
        kind = address.channel[0]
        known = kind if kind in _KINDS else "other"
        counted, tally = metrics.MQTT_MESSAGES.labels(known), self._traffic.of(agent.agent_id)
        route = _Route(agent, address.channel, counted, tally)
        self._routes[topic] = route
        return route

    async def _bury(
        self, topic: str, tenant_id: int, agent_id: int | None, parts: Sequence[tuple[str, bytes]]
    ) -> None:
        now: datetime = self._ctx.clock.now()
        letters = [
            DeadLetter(tenant_id, agent_id, topic, reason, part, now) for reason, part in parts
        ]
        await persist(partial(record_dead_letters, self._ctx, letters))


_Done = asyncio.Future[None]


def _fail(done: _Done) -> None:
    if not done.done():
        done.set_exception(Unavailable("ingest"))


async def _work_off(shard: asyncio.Queue[tuple[Callable[[], Awaitable[None]], _Done]]) -> None:
    while True:
        step, done = await shard.get()
        try:
            await step()
        except asyncio.CancelledError:
            _fail(done)
            raise
        except Exception as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)
