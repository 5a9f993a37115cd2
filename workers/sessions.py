"""Drops MQTT sessions of agents that an outage of ours may have muted.

A real agent that met two errors in a row on polls or reports stays silent until its MQTT
session ends; nothing else wakes it but a restart.
"""

from __future__ import annotations

import logging

from core.context import Context
from resolvers.agents import clear_session_drops, list_session_drops
from workers.mqtt import BrokerEndpoint, drop_session

_log = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
BATCH_MAX = 50


class Sessions:
    """A reconciler step: sessions that were asked to be dropped are dropped, a few at a time."""

    def __init__(self, ctx: Context, endpoint: BrokerEndpoint) -> None:
        self._ctx = ctx
        self._endpoint = endpoint

    async def step(self) -> None:
        """Drop the oldest requests; those that the broker did not take stay."""
        wanted = await list_session_drops(self._ctx, BATCH_MAX)
        dropped: list[int] = []
        try:
            for drop in wanted:
                await drop_session(self._endpoint, drop.client_id)
                dropped.append(drop.agent_id)
        finally:
            if dropped:
                await clear_session_drops(self._ctx, dropped)
                _log.info("dropped %d MQTT sessions so that their agents start over", len(dropped))
