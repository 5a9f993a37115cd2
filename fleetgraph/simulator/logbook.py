"""An agent's own log lines on their way to the cloud, in batches that must be confirmed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fleetgraph.simulator.cloud import CallFailed
from fleetgraph.simulator.wire import to_json

_LINES_MAX = 2000
_BATCH_MIN, _BATCH_START, _BATCH_MAX = 10, 50, 200
_ATTEMPTS_MAX = 10
_RETRY_SECONDS_MAX = 300.0

Send = Callable[[str, int, bytes], Awaitable[bool]]


@dataclass(slots=True)
class _Batch:
    id: str
    lines: bytes
    due: float
    attempts: int = 0
    errors: int = 0


class Logbook:
    """Collects lines and ships them; a batch keeps its id over all attempts. Times in seconds."""

    def __init__(
        self,
        agent_uuid: str,
        send: Send,
        *,
        resend_seconds: float = 2.5,
        retry_seconds: float = 5.0,
    ) -> None:
        self._uuid = agent_uuid
        self._send = send
        self._resend_seconds = resend_seconds
        self._retry_seconds = retry_seconds
        self._lines: deque[dict[str, Any]] = deque()
        self._dropped: Counter[str] = Counter()
        self._pending: list[_Batch] = []
        self._batch_size = _BATCH_START
        self._made = 0

    def note(
        self, time_ms: int, level: str, component: str, message: str, **context: object
    ) -> None:
        """Write a line; the oldest give way when too many wait."""
        if len(self._lines) >= _LINES_MAX:
            self._dropped[self._lines.popleft()["level"]] += 1
        self._lines.append(
            {
                "timestamp": time_ms,
                "level": level,
                "message": message,
                "source": {"type": "system", "name": component},
                "isSystem": True,
                "deviceId": self._uuid,
                "context": {"component": component, **context},
            }
        )

    def take_dropped(self) -> list[dict[str, Any]]:
        """Return what was dropped since the last time, by level."""
        dropped, self._dropped = self._dropped, Counter()
        return [
            {"level": level, "reason": "buffer_full", "totalCount": count}
            for level, count in dropped.items()
        ]

    def put_dropped_back(self, summaries: list[dict[str, Any]]) -> None:
        """Keep what the cloud could not be told."""
        for summary in summaries:
            self._dropped[summary["level"]] += summary["totalCount"]

    @property
    def next_due(self) -> float | None:
        """Return when the next unconfirmed batch is to be sent again, if there is one."""
        return min((batch.due for batch in self._pending), default=None)

    def close_batches(self, now: float, now_ms: int) -> None:
        """Turn the lines written so far into batches."""
        while self._lines:
            count = min(self._batch_size, len(self._lines))
            lines = b"".join(to_json(self._lines.popleft()) + b"\n" for _ in range(count))
            batch_id = f"{self._uuid}-{now_ms}-{self._made}"
            self._pending.append(_Batch(batch_id, lines, now))
            self._made += 1

    async def ship(self, now: float) -> None:
        """Send every batch that is due, each once."""
        for batch in [batch for batch in self._pending if batch.due <= now]:
            if await self._try(batch, now):
                self._pending.remove(batch)

    async def _try(self, batch: _Batch, now: float) -> bool:
        """Send a batch; True when it is done with, confirmed or given up."""
        batch.attempts += 1
        try:
            confirmed = await self._send(batch.id, batch.attempts, batch.lines)
        except CallFailed:
            batch.errors += 1
            self._batch_size = max(_BATCH_MIN, self._batch_size // 2)
            wait = self._retry_seconds * 2 ** (batch.errors - 1)
            batch.due = now + min(wait, _RETRY_SECONDS_MAX)
            return batch.errors >= _ATTEMPTS_MAX
        if confirmed:
            self._batch_size = min(_BATCH_MAX, self._batch_size + 10)
        # A success that names another batch is no confirmation: agents repeat it without end.
        batch.due = now + self._resend_seconds
        return confirmed
