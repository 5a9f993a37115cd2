"""A simulated agent: on the wire it cannot be told from a real one, its faults included."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Any

from fleetgraph.simulator.batches import Layout, Poll
from fleetgraph.simulator.cloud import CallFailed, CloudClient
from fleetgraph.simulator.encodings import Encoding
from fleetgraph.simulator.health import CloudHealth
from fleetgraph.simulator.identity import Identity
from fleetgraph.simulator.logbook import Logbook
from fleetgraph.simulator.mqtt_link import LinkFailed, MqttLink
from fleetgraph.simulator.noise import key_of, uniform
from fleetgraph.simulator.plant import Machine
from fleetgraph.simulator.provisioning import Provisioning
from fleetgraph.simulator.publishing import Publisher
from fleetgraph.simulator.readings import Source, source_of
from fleetgraph.simulator.reporting import StateReports
from fleetgraph.simulator.reports import Reporter, SourceHealth, reported_config
from fleetgraph.simulator.updates import answers
from fleetgraph.simulator.wire import epoch_ms, iso_ms, to_json, topic_prefix
from fleetgraph.simulator.world import World

log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 1.0


class SimulatedAgent:
    """One agent. `run` ends only by cancellation, or raises CallFailed when nobody admits it."""

    def __init__(
        self,
        world: World,
        identity: Identity,
        *,
        layout: Layout | None = None,
        encoding: Encoding = Encoding.JSON,
    ) -> None:
        self.identity = identity
        self.name = identity.name
        self.health = CloudHealth()
        self.version = 1  # what agents report before they have seen a target
        self.target_config: dict[str, Any] = {}
        self.publisher = Publisher(
            identity.uuid,
            layout=layout or Layout(),
            encoding=encoding,
            ids=world.ids,
            usable_link=self._usable_link,
        )
        self._world = world
        self._pace = world.pace
        self._cloud = CloudClient(world.http, world.url, identity)
        self._provisioning = Provisioning(world, self._cloud, identity)
        self._logbook = Logbook(
            identity.uuid,
            self._cloud.send_logs,
            resend_seconds=self._pace.log_resend,
            retry_seconds=self._pace.log_retry,
        )
        self._reporter = Reporter(identity.uuid, metrics_seconds=self._pace.metrics)
        self._reports = StateReports(
            self._cloud,
            self._reporter,
            usable_link=self._usable_link,
            on_http_result=self._http_report_done,
        )
        self._sources: dict[str, tuple[Machine, Source]] = {
            machine.name: (machine, source_of(identity.uuid, machine))
            for machine in world.plant.machines_of(identity.name)
        }
        self._health: dict[str, SourceHealth] = {
            name: SourceHealth(source, None, None, 0) for name, (_, source) in self._sources.items()
        }
        self._chance = key_of(identity.uuid, "chance")
        self._chances = 0
        self._etag: str | None = None
        self._link: MqttLink | None = None
        self._trusts_mqtt = False
        self._tried_broker = asyncio.Event()
        self._polled = asyncio.Event()
        self._report_now = asyncio.Event()

    @property
    def is_muted(self) -> bool:
        """Tell whether two failures in a row have silenced reports and telemetry."""
        return self.health.is_muted

    @property
    def is_connected(self) -> bool:
        """Tell whether MQTT is up."""
        return self._link is not None and self._link.is_connected

    async def run(self) -> None:
        """Provision if need be, then live until cancelled; the last logs go out at the end."""
        await self._provisioning.ensure()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_connected())
                tasks.create_task(self._keep_polling())
                tasks.create_task(self._keep_reporting())
                tasks.create_task(self._keep_sampling())
                tasks.create_task(self._keep_replaying())
                tasks.create_task(self._keep_shipping_logs())
        finally:
            with contextlib.suppress(TimeoutError, CallFailed):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._ship_logs(close=True)
            if self._link:
                await self._link.close()

    # MQTT

    def _usable_link(self) -> tuple[MqttLink, str] | None:
        link = self._link
        if link is None or not link.is_connected or not self._trusts_mqtt or self.is_muted:
            return None
        return link, self._prefix

    @property
    def _prefix(self) -> str:
        return topic_prefix(self.identity.tenant_id or "", self.identity.uuid)

    async def _keep_connected(self) -> None:
        if self.identity.broker is None:
            log.warning("%s was given no broker: no telemetry", self.name)
            self._tried_broker.set()
            return
        sessions, failures = 0, 0
        while True:
            await self._sleep_while_offline()
            assert self.identity.broker is not None
            link = MqttLink(self.identity.broker, self.identity.client_id, self._on_message)
            try:
                await link.connect()
            except LinkFailed as error:
                if failures == 0:
                    log.warning("%s cannot reach the broker: %s", self.name, error)
                if sessions == failures == 0:
                    await self._provisioning.ask_for_broker()
                self._tried_broker.set()
                wait = min(self._pace.connect_backoff * 2**failures, 30.0)
                failures = min(failures + 1, 10)
                await asyncio.sleep(wait * (0.85 + 0.3 * self._draw()))
                continue
            failures = 0
            await self._use(link, is_first=sessions == 0)
            sessions += 1
            await link.lost.wait()
            await link.close()
            self._link, self._trusts_mqtt = None, False
            self._note("warn", "MQTT", "MQTT connection lost")
            log.info("%s lost its broker", self.name)
            await asyncio.sleep(self._pace.connect_backoff * (0.85 + 0.3 * self._draw()))

    async def _use(self, link: MqttLink, *, is_first: bool) -> None:
        """Take a fresh connection into use; after a loss, one report by HTTP comes first."""
        self._link, self._trusts_mqtt = link, is_first
        link.subscribe(f"{self._prefix}/agent/update", qos=0 if is_first else 1)
        self._note("info", "Agent", "MQTT connected")
        log.info("%s connected", self.name)
        self._tried_broker.set()
        if not is_first:
            self.health.session_renewed()
            await self._report(forced=True)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if not topic.endswith("/agent/update") or self._link is None:
            return
        now_ms = epoch_ms(self._now())
        for number, status in enumerate(answers(payload, now_ms)):
            msg_id = f"{self.identity.uuid}-{now_ms}-{number}-{self._world.ids.secret_hex(2)}"
            body = to_json(status | {"msgId": msg_id})
            self._link.publish(f"{self._prefix}/agent/status", body, retain=True)

    # Target state

    async def _keep_polling(self) -> None:
        await self._tried_broker.wait()
        failures = 0
        while True:
            await self._sleep_while_offline()
            try:
                answer = await self._cloud.poll(self._etag)
            except CallFailed as error:
                failures += 1
                self._failed("poll", error)
                wait = self._poll_wait(failures)
            else:
                failures = 0
                self.health.poll_succeeded()
                if answer.body is not None:
                    # Kept before the body is looked at: a bad answer stays until the tag moves.
                    self._etag = answer.etag
                    self._apply(answer.body)
                wait = self._interval("targetStatePollIntervalMs", self._pace.poll)
            self._polled.set()
            await asyncio.sleep(wait)

    def _poll_wait(self, failures: int) -> float:
        if failures % 10 == 0:
            return 300.0
        wait: float = min(self._pace.poll_backoff * 2 ** min(failures - 1, 10), 900.0)
        return wait * (0.7 + 0.6 * self._draw())

    def _failed(self, what: str, error: CallFailed) -> None:
        was_muted = self.is_muted
        if what == "poll":
            self.health.poll_failed()
        else:
            self.health.report_failed()
        self._note(
            "error", "Sync", f"{what} failed", error={"name": "Error", "message": str(error)}
        )
        log.info("%s: %s failed: %s", self.name, what, error)
        if self.is_muted and not was_muted:
            log.warning("%s is muted after two failures in a row", self.name)

    def _apply(self, body: Any) -> None:
        target = body.get(self.identity.uuid) if isinstance(body, dict) else None
        if not isinstance(target, dict):
            self._note("error", "Sync", "target state without this agent")
            return
        version, config = target.get("version", 1), target.get("config") or {}
        if (version, config) == (self.version, self.target_config):
            return
        self.version, self.target_config = version, config
        metrics_seconds = self._interval("metricsIntervalMs", self._pace.metrics)
        self._reporter.metrics_seconds = metrics_seconds
        self._note("info", "Sync", "target state applied", version=version)
        log.info("%s applied target state version %s", self.name, version)
        self._report_now.set()

    def _interval(self, name: str, default: float) -> float:
        intervals = self.target_config.get("intervals")
        value = intervals.get(name) if isinstance(intervals, dict) else None
        return max(value / 1000, 0.05) if isinstance(value, int | float) else default

    # State reports

    async def _keep_reporting(self) -> None:
        await self._polled.wait()
        while True:
            await self._sleep_while_offline()
            self._report_now.clear()
            if not self.is_muted:
                await self._report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval("reportIntervalMs", self._pace.report)):
                    await self._report_now.wait()

    async def _report(self, *, forced: bool = False) -> None:
        sources = [source for _, source in self._sources.values()]
        await self._reports.send(
            self._now().timestamp(),
            version=self.version,
            config=reported_config(self.target_config, sources),
            health=list(self._health.values()),
            forced=forced,
        )

    def _http_report_done(self, error: CallFailed | None) -> None:
        if error:
            self._failed("report", error)
            return
        self.health.report_succeeded()
        self._trusts_mqtt = self.is_connected

    # Telemetry

    async def _keep_sampling(self) -> None:
        await self._tried_broker.wait()
        period = 1.0 / self._world.rate_hz
        per_batch = max(1, round(self._pace.batch / period))
        loop = asyncio.get_running_loop()
        due, collected, last = loop.time(), per_batch - 1, 0.0  # the first look goes out alone
        while True:
            at = self._now()
            if at.timestamp() > last:  # (series, time) is the identity of a reading
                last = at.timestamp()
                self._look(at)
                collected += 1
            if self._world.plant.offline_until(self.name, last) and self._link:
                await self._link.close()
            if collected >= per_batch:
                collected = 0
                self.publisher.flush(at)
            due = max(due + period, loop.time() - period)
            await asyncio.sleep(max(due - loop.time(), 0.0))

    def _look(self, at: datetime) -> None:
        stamp = iso_ms(at)
        for name, (machine, source) in self._sources.items():
            samples = self._world.plant.sample(machine, at.timestamp())
            self.publisher.collect(Poll(source, at, samples))
            seen = any(sample.quality == "GOOD" for sample in samples)
            before = self._health[name]
            last_seen = stamp if seen else before.last_seen
            errors = before.errors + (not seen)
            self._health[name] = SourceHealth(source, stamp, last_seen, errors)

    async def _keep_replaying(self) -> None:
        while True:
            self.publisher.replay_one()
            waiting = len(self.publisher.outbox)
            await asyncio.sleep(1.0 / self._pace.replays_per_second if waiting else 0.5)

    # Logs

    async def _keep_shipping_logs(self) -> None:
        loop = asyncio.get_running_loop()
        flush_at = loop.time() + self._pace.logs
        while True:
            again = self._logbook.next_due
            soonest = min(flush_at, again if again is not None else flush_at)
            await asyncio.sleep(max(soonest - loop.time(), 0.05))
            await self._sleep_while_offline()
            is_flush = loop.time() >= flush_at
            await self._ship_logs(close=is_flush)
            if is_flush:
                flush_at = loop.time() + self._pace.logs

    async def _ship_logs(self, *, close: bool) -> None:
        now = asyncio.get_running_loop().time()
        if close:
            self._logbook.close_batches(now, epoch_ms(self._now()))
        await self._logbook.ship(now)

    def _note(self, level: str, component: str, message: str, **context: object) -> None:
        self._logbook.note(epoch_ms(self._now()), level, component, message, **context)

    # Time and chance

    def _now(self) -> datetime:
        now = self._world.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _draw(self) -> float:
        self._chances += 1
        return uniform(self._chance, self._chances)

    async def _sleep_while_offline(self) -> None:
        now = self._now().timestamp()
        until = self._world.plant.offline_until(self.name, now)
        if until > now:
            await asyncio.sleep(until - now)
