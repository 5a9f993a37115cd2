from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from core.errors import Unavailable
from schema.batching import Loader


async def test_looks_up_together_what_is_asked_for_together() -> None:
    asked: list[list[int]] = []

    async def double(keys: Sequence[int]) -> list[int]:
        asked.append(list(keys))
        return [2 * key for key in keys]

    loader = Loader(double)
    assert await asyncio.gather(*map(loader.load, [1, 2, 1])) == [2, 4, 2]
    assert await loader.load(1) == 2
    assert asked == [[1, 2], [1]]


async def test_a_failure_reaches_all_who_asked() -> None:
    async def fail(keys: Sequence[int]) -> list[int]:
        raise Unavailable("the database")

    loader = Loader(fail)
    found = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable, Unavailable]


async def test_is_cancelled_when_nobody_waits_any_more() -> None:
    ended: list[str] = []
    asked = asyncio.Event()

    async def hang(keys: Sequence[int]) -> list[int]:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("look-up")
        return []

    loader = Loader(hang)
    waiting = [asyncio.ensure_future(loader.load(key)) for key in (1, 2)]
    await asked.wait()
    waiting[0].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended == []
    waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
    async with asyncio.timeout(5):
        while not ended:  # noqa: ASYNC110  # its end is what is waited for
            await asyncio.sleep(0)
