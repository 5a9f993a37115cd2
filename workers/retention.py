"""Makes partitions ahead of time and drops old ones."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from core.clock import Clock
from core.policy import Policy
from models.timeseries.partitions import DAY, HOUR
from models.timeseries.retention import drop_days_before, drop_journal_before, make_ahead

PERIOD_SECONDS = 300.0


class Retention:
    """A reconciler step over partitions."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, policy: Policy) -> None:
        self._pool = pool
        self._clock = clock
        self._policy = policy

    async def step(self) -> None:
        """Make tomorrow's partitions and the next hours', drop what need not be kept."""
        now = self._clock.now()
        await make_ahead(
            self._pool,
            {
                "reading_hot": [now, now + DAY],
                "reading_text": [now, now + DAY],
                "device_log": [now, now + DAY],
                "agent_metric": [now, now + DAY],
                "endpoint_health_history": [now, now + DAY],
                "state_history": [now, now + DAY],
                "journal": [now, now + HOUR, now + 2 * HOUR],
            },
        )
        await drop_journal_before(self._pool, now - timedelta(hours=self._policy.journal_hours))
        for table, days in (
            ("agent_metric", self._policy.agent_metrics_days),
            ("device_log", self._policy.logs_days),
            ("endpoint_health_history", self._policy.adapter_history_days),
            ("state_history", self._policy.state_history_days),
        ):
            await drop_days_before(self._pool, table, now - timedelta(days=days))
