"""A simulated agent: on the wire it cannot be told from a real one, its faults included."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any

from fleetgraph.simulator.batches import Layout, Poll
from fleetgraph.simulator.cloud import CallFailed, CloudClient
from fleetgraph.simulator.encodings import Encoding
from fleetgraph.simulator.health import CloudHealth
from fleetgraph.simulator.identity import Identity
from fleetgraph.simulator.log_shipping import LogShipping
from fleetgraph.simulator.mqtt_link import LinkFailed, MqttLink
from fleetgraph.simulator.noise import key_of, uniform
from fleetgraph.simulator.plant import Machine
from fleetgraph.simulator.polling import Polling
from fleetgraph.simulator.provisioning import Provisioning
from fleetgraph.simulator.publishing import Publisher
from fleetgraph.simulator.readings import Source, source_of
from fleetgraph.simulator.reporting import StateReports
from fleetgraph.simulator.reports import Facts, Reporter, SourceHealth, reported_config
from fleetgraph.simulator.target import Target
from fleetgraph.simulator.updating import Restart, Updater
from fleetgraph.simulator.wire import epoch_ms, iso_ms, topic_prefix
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
        self._logs = LogShipping(self._cloud, identity, self._pace, self._now_ms)
        self.target = Target(lambda warning: self._logs.note("warn", "Sync", warning))
        self._updater = Updater(world, identity, publish=self._tell_status, now_ms=self._now_ms)
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
        self._link: MqttLink | None = None
        self._trusts_mqtt = False
        self._tried_broker = asyncio.Event()
        self._report_now = asyncio.Event()
        self._polling = Polling(
            self._cloud,
            self.target,
            self._pace,
            self._draw,
            on_result=self._poll_done,
            on_body=self._apply,
        )

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
        while True:
            try:
                await self._live()
            except* Restart:
                self._begin_again()

    async def rotate_key(self) -> None:
        """Get another device key and go on with it."""
        try:
            await self._cloud.rotate_key("on demand")
        except CallFailed as error:
            log.warning("%s could not change its device key: %s", self.name, error)
        else:
            log.info("%s has a new device key", self.name)
        finally:
            self._world.on_identity_changed()

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_connected())
                tasks.create_task(self._keep_polling())
                tasks.create_task(self._keep_reporting())
                tasks.create_task(self._keep_sampling())
                tasks.create_task(self._keep_replaying())
                tasks.create_task(self._logs.run(self._sleep_while_offline))
                tasks.create_task(self._updater.run())
        finally:
            await self._logs.farewell(_FAREWELL_SECONDS)
            if self._link:
                await self._link.close()

    def _begin_again(self) -> None:
        """Be as after a restart: what is on disk stays, what was in memory is gone."""
        log.info("%s restarted as version %s", self.name, self.identity.agent_version)
        self._link, self._trusts_mqtt = None, False
        self._polling.begin_again()
        self.target.forget_version()
        self.health.session_renewed()
        self._reports.forget_delivered()
        self._tried_broker.clear()
        self._report_now.clear()

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
        link.subscribe(f"{self._prefix}/target-state", qos=1)
        self._note("info", "Agent", "MQTT connected")
        log.info("%s connected", self.name)
        self._updater.connected()
        self._tried_broker.set()
        if not is_first:
            self.health.session_renewed()
            await self._report(forced=True)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/agent/update"):
            self._updater.take(payload)
        elif topic.endswith("/target-state"):
            self._polling.hear(payload)

    def _tell_status(self, body: bytes) -> None:
        if self._link is not None and self._link.is_connected:
            self._link.publish(f"{self._prefix}/agent/status", body, retain=True)

    # Target state

    async def _keep_polling(self) -> None:
        await self._tried_broker.wait()
        await self._polling.run(self._sleep_while_offline)

    def _poll_done(self, error: CallFailed | None) -> None:
        if error:
            self._failed("poll", error)
        else:
            self.health.poll_succeeded()

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
        if not self.target.apply(target):
            return
        self._reporter.metrics_seconds = self.target.seconds(
            "metricsIntervalMs", self._pace.metrics
        )
        self._note("info", "Sync", "target state applied", version=self.target.version)
        log.info("%s applied target state version %s", self.name, self.target.version)
        self._report_now.set()

    # State reports

    async def _keep_reporting(self) -> None:
        await self._polling.polled.wait()
        while True:
            await self._sleep_while_offline()
            self._report_now.clear()
            if not self.is_muted:
                await self._report()
            with contextlib.suppress(TimeoutError):
                wait = self.target.seconds("reportIntervalMs", self._pace.report)
                async with asyncio.timeout(wait):
                    await self._report_now.wait()

    async def _report(self, *, forced: bool = False) -> None:
        sources = [source for _, source in self._sources.values()]
        endpoints = list(self.target.endpoints.values())
        known = Facts(
            version=self.target.version,
            config=reported_config(self.target.config, endpoints, sources),
            apps=self.target.apps,
            health=list(self._health.values()),
            unanswered=[each for each in endpoints if each.get("enabled") is not False],
            agent_version=self.identity.agent_version,
        )
        await self._reports.send(self._now().timestamp(), known, forced=forced)

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
            at, now = self._now(), self._world.clock.now().timestamp()
            if at.timestamp() != last:  # (series, time) is the identity of a reading
                last = at.timestamp()
                self._look(at, now)
                collected += 1
            if self._world.plant.offline_until(self.name, now) and self._link:
                await self._link.close()
            if collected >= per_batch:
                collected = 0
                self.publisher.flush(at)
            due = max(due + period, loop.time() - period)
            await asyncio.sleep(max(due - loop.time(), 0.0))

    def _look(self, at: datetime, now: float) -> None:
        stamp = iso_ms(at)
        for name, (machine, source) in self._sources.items():
            samples = self._world.plant.sample(machine, now)
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

    def _note(self, level: str, component: str, message: str, **context: object) -> None:
        self._logs.note(level, component, message, **context)

    # Time and chance

    def _now(self) -> datetime:
        """Return the time by the agent's own clock, which may be wrong."""
        now = self._world.clock.now()
        now += timedelta(seconds=self._world.plant.clock_off(self.name, now.timestamp()))
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _now_ms(self) -> int:
        return epoch_ms(self._now())

    def _draw(self) -> float:
        self._chances += 1
        return uniform(self._chance, self._chances)

    async def _sleep_while_offline(self) -> None:
        now = self._world.clock.now().timestamp()
        until = self._world.plant.offline_until(self.name, now)
        if until > now:
            await asyncio.sleep(until - now)
