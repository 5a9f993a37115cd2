"""Passwords of people: argon2id, off the event loop, never more than a few at once."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import Unavailable
from core.password_rules import normalised

CONCURRENT_MAX: Final = 4
WAITING_MAX: Final = 64
RETRY_SECONDS: Final = 5
_NICE: Final = 10
_NOTHING: Final = f"${'A' * 22}${'A' * 43}"
"""A salt and a digest of zeros: no password that anybody knows has them."""

T = TypeVar("T")


class Passwords:
    """Hashes and verifies with bounded concurrency, so that logins cannot starve the rest.

    One hash takes 64 MiB and about 0.2 s of one core by default; tests pass cheaper figures. A
    core is left for everything else. Who would have to wait behind `waiting_max` others is
    refused with Unavailable at once.
    """

    def __init__(
        self,
        *,
        time_cost: int = 3,
        memory_kib: int = 65_536,
        parallelism: int = 1,
        concurrent_max: int | None = None,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism
        )
        self._decoy = f"$argon2id$v=19$m={memory_kib},t={time_cost},p={parallelism}{_NOTHING}"
        spare_cores = max(1, (os.cpu_count() or 1) - 1)
        threads = concurrent_max or min(spare_cores, CONCURRENT_MAX)
        # Threads of their own: what is cancelled while it runs still counts against the bound.
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="passwords", initializer=_step_back
        )
        self._open = 0
        self._open_max = threads + waiting_max

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash."""
        return await self._run(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` matches; without a hash it takes as long and says no.

        So an unknown user costs the same time as a wrong password.
        """
        return await self._matches(encoded or self._decoy, password) and encoded is not None

    def needs_rehash(self, encoded: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)

    async def _matches(self, encoded: str, password: str) -> bool:
        try:
            return await self._run(lambda: self._hasher.verify(encoded, _bytes(password)))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._open >= self._open_max:
            raise Unavailable("the check of passwords", retry_after_seconds=RETRY_SECONDS)
        self._open += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._open -= 1


def _step_back() -> None:
    """Let everybody else have the core first: with one core, others would wait twice as long."""
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        current = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(current, _NICE))


def _bytes(password: str) -> bytes:
    # Half characters are no text, but a password of them is wrong, not a failure of ours.
    return normalised(password).encode("utf-8", "surrogatepass")
