"""Passwords of people: argon2id, off the event loop, never more than a few at once."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes and verifies with bounded concurrency, so that logins cannot starve the rest.

    One hash takes 64 MiB and about 0.1 s of a core by default; tests pass cheaper figures.
    """

    def __init__(
        self,
        *,
        time_cost: int = 3,
        memory_kib: int = 65_536,
        parallelism: int = 4,
        concurrent_max: int = 2,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism
        )
        self._slots = asyncio.Semaphore(concurrent_max)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the encoded argon2id hash."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` matches; without a hash it takes as long and says no.

        So an unknown user costs the same time as a wrong password.
        """
        if encoded is None:
            if self._decoy is None:
                self._decoy = await self.hash("no such user")
            await self._matches(self._decoy, password)
            return False
        return await self._matches(encoded, password)

    def needs_rehash(self, encoded: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)

    async def _matches(self, encoded: str, password: str) -> bool:
        async with self._slots:
            try:
                return await asyncio.to_thread(self._hasher.verify, encoded, password)
            except (VerificationError, InvalidHashError):
                return False
