"""Idempotency-Key of REST on the use cases of resolvers/kept_answers.py."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from core.callers import Caller
from core.context import Context
from resolvers.kept_answers import begin_once, keep_once, release_once
from rest_compat.kept_answers import KeptAnswer


class DatabaseKeptAnswers:
    """Kept answers in the database; `context` makes a context for a caller."""

    def __init__(self, context: Callable[[Caller], Context]) -> None:
        self._context = context

    async def begin(
        self, caller: Caller, endpoint: str, key: str, request: bytes
    ) -> KeptAnswer | None:
        """Return the kept answer, or take the key and return None."""
        kept = await begin_once(self._context(caller), endpoint, key, request)
        return None if kept is None else msgspec.msgpack.decode(kept, type=KeptAnswer)

    async def keep(self, caller: Caller, endpoint: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer to the work."""
        await keep_once(self._context(caller), endpoint, key, msgspec.msgpack.encode(answer))

    async def release(self, caller: Caller, endpoint: str, key: str) -> None:
        """Give the key back."""
        await release_once(self._context(caller), endpoint, key)
