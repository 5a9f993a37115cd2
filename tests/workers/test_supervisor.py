"""Workers are restarted with growing waits, end in reverse order, and step when poked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from core import metrics
from tests.tools import until
from workers import supervisor as supervisor_module
from workers.supervisor import BACKOFF_SECONDS_MAX, Periodic, Supervisor


class Worker:
    def __init__(self, name: str, log: list[str], fails: int = 0) -> None:
        self.name = name
        self._log = log
        self._fails = fails

    async def run(self) -> None:
        self._log.append(f"{self.name} runs")
        if self._fails:
            self._fails -= 1
            raise ValueError("broken")
        try:
            await asyncio.Event().wait()
        finally:
            self._log.append(f"{self.name} ends")


class Sleep:
    """Waits that take no time and are remembered."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def value(metric: object) -> float:
    return cast("float", metric._value.get())  # type: ignore[attr-defined]  # the library's own


async def test_restarts_what_fails_with_doubling_waits() -> None:
    log: list[str] = []
    sleep = Sleep()
    supervisor = Supervisor([Worker("one", log, fails=9)], sleep=sleep)
    before = value(metrics.WORKER_RESTARTS.labels("one"))
    supervisor.start()
    await until(lambda: log.count("one runs") == 10, "ten runs")
    await supervisor.stop()
    assert sleep.waits == [0.5, 1, 2, 4, 8, 16, BACKOFF_SECONDS_MAX, 30, 30]
    assert value(metrics.WORKER_RESTARTS.labels("one")) - before == 9


async def test_a_failure_after_a_healthy_run_waits_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "_HEALTHY_AFTER_SECONDS", -1.0)
    log: list[str] = []
    sleep = Sleep()
    supervisor = Supervisor([Worker("one", log, fails=4)], sleep=sleep)
    supervisor.start()
    await until(lambda: log.count("one runs") == 5, "five runs")
    await supervisor.stop()
    assert sleep.waits == [0.5] * 4


async def test_restarts_a_worker_that_returns() -> None:
    class Short:
        name = "short"
        runs = 0

        async def run(self) -> None:
            self.runs += 1

    worker = Short()
    supervisor = Supervisor([worker], sleep=Sleep())
    supervisor.start()
    await until(lambda: worker.runs >= 3, "three runs")
    await supervisor.stop()


async def test_one_that_fails_does_not_disturb_the_others() -> None:
    log: list[str] = []
    supervisor = Supervisor([Worker("good", log), Worker("bad", log, fails=3)], sleep=Sleep())
    supervisor.start()
    await until(lambda: log.count("bad runs") == 4, "the bad one's runs")
    assert log.count("good runs") == 1
    assert value(metrics.WORKER_UP.labels("good")) == 1
    await supervisor.stop()
    assert value(metrics.WORKER_UP.labels("good")) == 0


async def test_ends_the_last_started_first_and_waits_for_each() -> None:
    log: list[str] = []
    supervisor = Supervisor([Worker(name, log) for name in ("one", "two", "three")])
    supervisor.start()
    await until(lambda: len(log) == 3, "all run")
    await supervisor.stop()
    assert log[3:] == ["three ends", "two ends", "one ends"]


async def running(periodic: Periodic, condition: Callable[[], bool], what: str) -> None:
    task = asyncio.create_task(periodic.run())
    try:
        await until(condition, what)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_reconciler_steps_at_once_and_on_its_period() -> None:
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)

    await running(Periodic("p", 0.01, step), lambda: len(steps) >= 3, "three steps")


async def test_a_reconciler_steps_when_poked() -> None:
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)

    periodic = Periodic("p", 3600, step)

    def poked() -> bool:
        periodic.poke()
        return len(steps) >= 3

    await running(periodic, poked, "a step for each poke")


async def test_a_poke_during_a_step_is_not_lost() -> None:
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)
        if len(steps) == 1:
            periodic.poke()

    periodic = Periodic("p", 3600, step)
    await running(periodic, lambda: len(steps) == 2, "a second step")


async def test_a_reconciler_outlives_a_failed_step_and_says_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)
        if len(steps) < 4:
            raise OSError("away")

    caplog.set_level("INFO")
    await running(Periodic("p", 0.01, step), lambda: len(steps) >= 6, "six steps")
    told = [record.message for record in caplog.records]
    assert [text for text in told if "failed" in text] == ["p failed, trying again every 0.01 s"]
    assert told.count("p works again") == 1
