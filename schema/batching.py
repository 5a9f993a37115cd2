"""Keys that are asked for together are looked up together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Load = Callable[[Sequence[K]], Awaitable[Sequence[V]]]
"""Returns the values of distinct keys, in their order."""


class Loader(Generic[K, V]):
    """Looks up at once what was asked for in one pass of the event loop; remembers nothing.

    When all who asked have gone, at an operation's time limit for instance, the look-up is
    cancelled.
    """

    def __init__(self, load: Load[K, V]) -> None:
        self._load = load
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}

    async def load(self, key: K) -> V:
        """Return the value of a key; raises what the look-up raises."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._start)
        future: asyncio.Future[V] = loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        return await future

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, {}
        task = asyncio.create_task(self._answer(waiting))
        left = sum(map(len, waiting.values()))

        def gone(_: asyncio.Future[V]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                task.cancel()  # does nothing once it is done

        for futures in waiting.values():
            for future in futures:
                future.add_done_callback(gone)

    async def _answer(self, waiting: dict[K, list[asyncio.Future[V]]]) -> None:
        try:
            values = await self._load(list(waiting))
        except Exception as error:
            for futures in waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            return
        for futures, value in zip(waiting.values(), values, strict=True):
            for future in futures:
                if not future.done():
                    future.set_result(value)
