"""Runs the workers: restarts what fails, with growing waits, and ends all in reverse order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from core import metrics

_log = logging.getLogger(__name__)

BACKOFF_SECONDS_MAX = 30.0
_HEALTHY_AFTER_SECONDS = 60.0


class Worker(Protocol):
    """Something that runs without a request."""

    name: str

    async def run(self) -> None:
        """Work until cancelled; returning or raising means a restart."""
        ...


class Supervisor:
    """Keeps workers running until stopped."""

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._workers = workers
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every worker in a task of its own."""
        for worker in self._workers:
            self._tasks.append(asyncio.create_task(self._keep(worker), name=worker.name))

    async def stop(self) -> None:
        """End the workers, last started first, and wait for each."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep(self, worker: Worker) -> None:
        wait = 0.5
        loop = asyncio.get_running_loop()
        up = metrics.WORKER_UP.labels(worker.name)
        try:
            while True:
                started = loop.time()
                up.set(1)
                try:
                    await worker.run()
                    _log.warning("worker %s ended, starting it again", worker.name)
                except Exception:
                    _log.exception("worker %s failed, starting it again", worker.name)
                up.set(0)
                metrics.WORKER_RESTARTS.labels(worker.name).inc()
                wait = 0.5 if loop.time() - started > _HEALTHY_AFTER_SECONDS else wait
                await self._sleep(wait)
                wait = min(wait * 2, BACKOFF_SECONDS_MAX)
        finally:
            up.set(0)


class Periodic:
    """A reconciler: no input, idempotent, run on a period and when poked."""

    def __init__(
        self, name: str, period_seconds: float, step: Callable[[], Awaitable[object]]
    ) -> None:
        self.name = name
        self._period = period_seconds
        self._step = step
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Run the next step now."""
        self._poked.set()

    async def run(self) -> None:
        """Step for ever; a failed step is logged and tried again after the period."""
        failing = False
        while True:
            self._poked.clear()
            try:
                await self._step()
                if failing:
                    _log.info("%s works again", self.name)
                failing = False
            except Exception:
                if not failing:
                    _log.exception("%s failed, trying again every %g s", self.name, self._period)
                failing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._poked.wait()
