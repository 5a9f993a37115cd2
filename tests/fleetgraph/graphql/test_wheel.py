"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

from fleetgraph.graphql.wheel import Wheel


class Noting:
    """Notes when it was called, in the loop's time."""

    def __init__(self) -> None:
        self.slot: int | None = None
        self.called = asyncio.Event()
        self.at = 0.0

    def on_due(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self.called.set()


async def test_each_is_called_once_and_not_early() -> None:
    wheel, now = Wheel(), asyncio.get_running_loop().time()
    first, second = Noting(), Noting()
    wheel.put(second, now + 0.25)
    wheel.put(first, now + 0.05)
    async with asyncio.timeout(10):
        await first.called.wait()
        assert not second.called.is_set()
        await second.called.wait()
    assert first.at >= now + 0.05
    assert second.at >= now + 0.25
    assert wheel._timer is None


async def test_the_last_wish_counts() -> None:
    wheel, now = Wheel(), asyncio.get_running_loop().time()
    moved, other = Noting(), Noting()
    wheel.put(moved, now + 0.1)
    wheel.put(moved, now + 60)
    wheel.put(other, now + 0.3)
    async with asyncio.timeout(10):
        await other.called.wait()
    assert not moved.called.is_set()
    wheel.remove(moved)


async def test_nobody_left_is_no_timer_left() -> None:
    wheel, due = Wheel(), Noting()
    wheel.put(due, asyncio.get_running_loop().time() + 60)
    assert wheel._timer is not None
    wheel.remove(due)
    wheel.remove(due)
    assert wheel._timer is None


async def test_one_that_removes_another_while_called_is_obeyed() -> None:
    wheel, now = Wheel(), asyncio.get_running_loop().time()
    first, second = Noting(), Noting()
    first.on_due = lambda: (wheel.remove(second), first.called.set())  # type: ignore[assignment,func-returns-value]
    second.on_due = lambda: (wheel.remove(first), second.called.set())  # type: ignore[assignment,func-returns-value]
    wheel.put(first, now)
    wheel.put(second, now)
    async with asyncio.timeout(10):
        while wheel._timer is not None:  # noqa: ASYNC110  # polled from outside
            await asyncio.sleep(0.01)
    assert first.called.is_set() != second.called.is_set()
