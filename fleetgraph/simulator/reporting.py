"""Getting state reports to the cloud: by MQTT if it can be trusted, else by HTTP, else later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from fleetgraph.simulator.cloud import CallFailed, CloudClient
from fleetgraph.simulator.mqtt_link import MqttLink
from fleetgraph.simulator.reports import Facts, Reporter, stripped
from fleetgraph.simulator.wire import to_sorted_json

_QUEUED_MAX = 1000
_QUEUED_SECONDS_MAX = 2 * 3600.0
_REPLAY_GAP_SECONDS = 0.1


class StateReports:
    """Sends one agent's reports, one at a time, and keeps those that failed."""

    def __init__(
        self,
        cloud: CloudClient,
        reporter: Reporter,
        *,
        usable_link: Callable[[], tuple[MqttLink, str] | None],
        on_http_result: Callable[[CallFailed | None], None],
    ) -> None:
        """`on_http_result` hears of every report by HTTP: None when it got through."""
        self._cloud = cloud
        self._reporter = reporter
        self._usable_link = usable_link
        self._on_http_result = on_http_result
        self._queued: deque[tuple[float, dict[str, Any]]] = deque(maxlen=_QUEUED_MAX)
        self._one_at_a_time = asyncio.Lock()

    def forget_delivered(self) -> None:
        """Let the next report be a full one, as after a restart."""
        self._reporter.forget_delivered()

    async def send(self, now: float, known: Facts, *, forced: bool = False) -> None:
        """Report how things are, in full if `forced`. `now` is in epoch seconds."""
        async with self._one_at_a_time:
            report = self._reporter.build(now, known, forced=forced)
            if await self._deliver(report):
                self._reporter.delivered(report, now)
                await self._replay(now)
            else:
                self._queued.append((now, stripped(report)))

    async def _deliver(self, report: dict[str, Any]) -> bool:
        target = self._usable_link()
        if target:
            link, prefix = target
            return await link.publish(f"{prefix}/state", to_sorted_json(report))
        try:
            await self._cloud.report(report)
        except CallFailed as error:
            self._on_http_result(error)
            return False
        self._on_http_result(None)
        return True

    async def _replay(self, now: float) -> None:
        """Send old reports after the fresh one, so the receiver sees them in the wrong order."""
        while self._queued:
            written, report = self._queued[0]
            if now - written < _QUEUED_SECONDS_MAX and not await self._deliver(report):
                return
            self._queued.popleft()
            await asyncio.sleep(_REPLAY_GAP_SECONDS)
