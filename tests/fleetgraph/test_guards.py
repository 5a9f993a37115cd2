"""An embedded server that ended by itself is started again."""

from __future__ import annotations

import asyncio

import pytest

from fleetgraph import guards
from fleetgraph.guards import Guard
from tests.tools import until


async def test_starts_a_server_again_each_time_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guards, "RESTART_SECONDS", 0.01)
    ended, restarts = asyncio.Queue[int](), list[str]()

    async def restart() -> None:
        restarts.append("again")

    task = asyncio.create_task(Guard("the broker", ended.get, restart).run())
    await asyncio.sleep(0.05)
    assert not restarts, "a server that runs is left alone"
    for count in (1, 2):
        ended.put_nowait(-9)
        await until(lambda expected=count: len(restarts) == expected, "a restart")  # type: ignore[misc]  # a default
    assert "the broker ended by itself (-9), starting it again" in caplog.messages
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_restart_that_fails_is_the_supervisors_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guards, "RESTART_SECONDS", 0.0)

    async def ended() -> int:
        return 1

    async def restart() -> None:
        raise OSError("port taken")

    with pytest.raises(OSError, match="port taken"):
        await Guard("PostgreSQL", ended, restart).run()
