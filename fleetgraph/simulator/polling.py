"""Polls of the target state: by the pace, after a hint, or later and later while they fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from fleetgraph.simulator.cloud import CallFailed, CloudClient
from fleetgraph.simulator.target import Target, hinted_version
from fleetgraph.simulator.world import Pace


class Polling:
    """One agent's polls. `polled` is set once the first has ended, however."""

    def __init__(
        self,
        cloud: CloudClient,
        target: Target,
        pace: Pace,
        draw: Callable[[], float],
        *,
        on_result: Callable[[CallFailed | None], None],
        on_body: Callable[[Any], None],
    ) -> None:
        """`on_result` hears of every poll, None when it got through; `on_body` of what is new."""
        self.polled = asyncio.Event()
        self._cloud = cloud
        self._target = target
        self._pace = pace
        self._draw = draw
        self._on_result = on_result
        self._on_body = on_body
        self._etag: str | None = None
        self._hinted = asyncio.Event()

    def begin_again(self) -> None:
        """Be as after a restart: the first poll is unconditional."""
        self._etag = None
        self.polled.clear()
        self._hinted.clear()

    def hear(self, payload: bytes) -> None:
        """Take a hint that the target state has another version."""
        if payload and hinted_version(payload) != self._target.version:
            self._hinted.set()

    async def run(self, while_offline: Callable[[], Awaitable[None]]) -> None:
        """Poll for ever; `while_offline` returns when the agent may speak."""
        failures = 0
        while True:
            await while_offline()
            self._hinted.clear()
            try:
                answer = await self._cloud.poll(self._etag)
            except CallFailed as error:
                failures += 1
                self._on_result(error)
                self.polled.set()
                await asyncio.sleep(self._wait_after(failures))
                continue
            failures = 0
            self._on_result(None)
            if answer.body is not None:
                # Kept before the body is looked at: a bad answer stays until the tag moves.
                self._etag = answer.etag
                self._on_body(answer.body)
            self.polled.set()
            await self._sleep(self._target.seconds("targetStatePollIntervalMs", self._pace.poll))

    async def _sleep(self, seconds: float) -> None:
        """Sleep; after a hint only for a moment, which differs from agent to agent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hinted.wait()
                await asyncio.sleep(self._pace.hint_spread * self._draw())

    def _wait_after(self, failures: int) -> float:
        if failures % 10 == 0:
            return 300.0
        wait: float = min(self._pace.poll_backoff * 2 ** min(failures - 1, 10), 900.0)
        return wait * (0.7 + 0.6 * self._draw())
