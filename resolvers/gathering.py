"""Many single lookups that meet within a moment become one query; nothing is remembered.

Under load a process is asked for one agent or one user thousands of times a second. Whoever asks
joins the query that starts next, so the answer is never older than the question, and the busier
the process, the fewer statements it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextvars import Context
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEYS_MAX = 500
"""Keys of one query."""

QUERIES_MAX = 2
"""Queries of one tenant under way; a second one, so that a hanging one does not hold up all."""

Fetch = Callable[[int, Collection[K]], Awaitable[Mapping[K, V]]]
"""Finds the tenant's values for some keys, in one query; what there is none of is left out."""


class Gathering(Generic[K, V]):
    """Joins lookups of one kind. Not for use inside a transaction: it reads on its own."""

    def __init__(self, fetch: Fetch[K, V]) -> None:
        self._fetch = fetch
        self._waiting: dict[int, dict[K, list[asyncio.Future[V | None]]]] = {}
        self._running: dict[int, set[asyncio.Task[None]]] = {}

    async def get(self, tenant_id: int, key: K) -> V | None:
        """Return the tenant's value for `key`, or None; raises what the query raises."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(tenant_id, {})
        if not waiting and len(self._running.get(tenant_id, ())) < QUERIES_MAX:
            loop.call_soon(self._start, tenant_id)
        future: asyncio.Future[V | None] = loop.create_future()
        waiting.setdefault(key, []).append(future)
        return await future

    def _start(self, tenant_id: int) -> None:
        waiting = self._waiting.pop(tenant_id, None)
        if not waiting:
            return
        taken = dict(list(waiting.items())[:KEYS_MAX])
        rest = {key: futures for key, futures in waiting.items() if key not in taken}
        if rest:
            self._waiting[tenant_id] = rest
        # A context of its own: the transaction of whoever asked first is not ours.
        task = asyncio.create_task(self._answer(tenant_id, taken), context=Context())
        self._running.setdefault(tenant_id, set()).add(task)
        task.add_done_callback(lambda ended: self._ended(tenant_id, ended))

    def _ended(self, tenant_id: int, task: asyncio.Task[None]) -> None:
        running = self._running[tenant_id]
        running.discard(task)
        if not running:
            del self._running[tenant_id]
        self._start(tenant_id)

    async def _answer(
        self, tenant_id: int, waiting: Mapping[K, list[asyncio.Future[V | None]]]
    ) -> None:
        try:
            found = await self._fetch(tenant_id, waiting.keys())
        except BaseException as error:
            failure = error if isinstance(error, Exception) else asyncio.CancelledError()
            for futures in waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(failure)
            if not isinstance(error, Exception):
                raise
            return
        for key, futures in waiting.items():
            value = found.get(key)
            for future in futures:
                if not future.done():  # whoever asked may have gone away
                    future.set_result(value)
