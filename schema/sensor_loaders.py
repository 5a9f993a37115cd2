"""The relations of sensors: one query each, however many agents a list is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.context import Context
from resolvers import sensors
from schema.batching import Loader


class SensorLoaders:
    """When the endpoints of an agent last sent a reading, by their uuids and names."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.last_telemetry: Loader[int, Mapping[str, datetime]] = Loader(self._last_telemetry)

    async def _last_telemetry(self, ids: Sequence[int]) -> list[Mapping[str, datetime]]:
        found = await sensors.list_last_telemetry(self._ctx, ids)
        return [found.get(agent_id, {}) for agent_id in ids]
