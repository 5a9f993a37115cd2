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

from core.fence import fence

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEYS_MAX = 500
"""Keys of one query."""

QUERIES_MAX = 2
PATIENCE_SECONDS = 0.05
"""Queries of one tenant under way: one, and a second when the first takes so long that it may hang."""

Fetch = Callable[[int, Collection[K]], Awaitable[Mapping[K, V]]]
"""Finds the tenant's values for some keys, in one query; what there is none of is left out."""


class _Tenant(Generic[K, V]):
    __slots__ = ("is_starting", "is_watched", "running", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self.running: dict[asyncio.Task[None], float] = {}
        self.is_starting = False
        self.is_watched = False

    def may_start(self, now: float) -> bool:
        if self.is_starting:
            return False
        if not self.running:
            return True
        newest = max(self.running.values())
        return len(self.running) < QUERIES_MAX and now > newest + PATIENCE_SECONDS


class Gathering(Generic[K, V]):
    """Joins lookups of one kind. Not for use inside a transaction: it reads on its own."""

    def __init__(self, fetch: Fetch[K, V]) -> None:
        self._fetch = fetch
        self._tenants: dict[int, _Tenant[K, V]] = {}

    async def get(self, tenant_id: int, key: K) -> V | None:
        """Return the tenant's value for `key`, or None; raises what the query raises."""
        loop = asyncio.get_running_loop()
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = _Tenant()
        future: asyncio.Future[V | None] = loop.create_future()
        tenant.waiting.setdefault(key, []).append(future)
        if tenant.may_start(loop.time()):
            tenant.is_starting = True
            loop.call_soon(self._start, tenant_id, tenant)
        elif not tenant.is_watched:
            tenant.is_watched = True
            loop.call_later(PATIENCE_SECONDS, self._look, tenant_id, tenant)
        return await future

    def _look(self, tenant_id: int, tenant: _Tenant[K, V]) -> None:
        """Start a second query if the first may hang."""
        tenant.is_watched = False
        if not tenant.waiting or tenant.is_starting:
            return
        loop = asyncio.get_running_loop()
        if tenant.may_start(loop.time()):
            self._start(tenant_id, tenant)
        elif len(tenant.running) < QUERIES_MAX:
            tenant.is_watched = True
            loop.call_later(PATIENCE_SECONDS, self._look, tenant_id, tenant)

    def _start(self, tenant_id: int, tenant: _Tenant[K, V]) -> None:
        tenant.is_starting = False
        if not tenant.waiting:
            if not tenant.running:
                del self._tenants[tenant_id]
            return
        taken = tenant.waiting
        tenant.waiting = {}
        if len(taken) > KEYS_MAX:
            for key in list(taken)[KEYS_MAX:]:
                tenant.waiting[key] = taken.pop(key)
        # A context of its own: the transaction of whoever asked first is not ours.
        task = asyncio.create_task(self._answer(tenant_id, taken), context=Context())
        tenant.running[task] = asyncio.get_running_loop().time()
        task.add_done_callback(lambda ended: self._ended(tenant_id, tenant, ended))

    def _ended(self, tenant_id: int, tenant: _Tenant[K, V], task: asyncio.Task[None]) -> None:
        del tenant.running[task]
        if not tenant.is_starting:
            self._start(tenant_id, tenant)

    async def _answer(
        self, tenant_id: int, waiting: Mapping[K, list[asyncio.Future[V | None]]]
    ) -> None:
        try:
            with fence(tenant_id):
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
