"""Whatever is done to sensors and documents, in whatever order: the table says what they say."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from core.context import Context
from core.errors import Conflict, NotFound
from core.sensor_edits import SensorValues
from core.sensors import entries_of, is_leaving
from models.agents import Agent
from models.current_states import CurrentState
from models.endpoints import Endpoint
from resolvers import sensor_changes, sensors, target_history, target_states
from resolvers.sensors import EndpointFilter
from tests.factories import make_agent
from tests.resolvers.reading_agent import ReadingAgent
from tests.resolvers.test_sensors import TCP, values

pytestmark = pytest.mark.slow

STEPS = 40
NAMES = ("a", "b", "c", "d")


class Plant:
    """One agent and people who do to it whatever they like."""

    def __init__(self, ctx: Context, agent: Agent, seed: int) -> None:
        self.ctx, self.agent = ctx, agent
        self.edge = ReadingAgent(ctx, agent)
        self.random = random.Random(seed)
        self.steps = (
            *(self.add, self.add, self.update, self.delete, self.delete),
            *(self.put, self.clear, self.roll_back),
            *(self.edge.poll, self.edge.report, self.edge.sync, self.restart),
        )

    async def step(self) -> None:
        with suppress(Conflict, NotFound):  # people are told no as well
            await self.random.choice(self.steps)()

    async def add(self) -> None:
        await sensor_changes.add_sensor(self.ctx, self.agent.uuid, values(self._name()))

    async def update(self) -> None:
        moved = SensorValues(connection=TCP | {"port": self.random.randint(1, 9)})
        await sensor_changes.update_sensor(self.ctx, self.agent.uuid, self._name(), moved)

    async def delete(self) -> None:
        hard = self.random.random() < 0.3
        await sensor_changes.delete_sensor(self.ctx, self.agent.uuid, self._name(), hard=hard)

    async def put(self) -> None:
        """Send the whole document again, some of it left out, some of it changed."""
        kept = [dict(e) for e in (await self.target()).values() if self.random.random() < 0.6]
        for entry in kept:
            if self.random.random() < 0.3:
                entry["pollInterval"] = self.random.randint(100, 900)
        await target_states.set_target_state(
            self.ctx, self.agent.uuid, apps={}, config={"endpoints": kept}
        )

    async def clear(self) -> None:
        await target_states.clear_target_state(self.ctx, self.agent.uuid)

    async def roll_back(self) -> None:
        state = await target_states.get_target_state(self.ctx, self.agent.uuid)
        version = self.random.randint(1, state.version)
        await target_history.roll_back_target_state(self.ctx, self.agent.uuid, version)

    async def restart(self) -> None:
        await self.edge.report(restarted=True, version=1)

    async def target(self) -> dict[UUID, dict[str, Any]]:
        state = await target_states.get_target_state(self.ctx, self.agent.uuid)
        return entries_of(state.config)

    async def shown(self) -> set[UUID] | None:
        state = await CurrentState.of(self.ctx.tenant_id, agent_id=self.agent.id).first()
        return set(entries_of(state.config, "id")) if state and state.config else None

    async def table(self) -> dict[UUID, Endpoint]:
        page = await sensors.list_sensors(
            self.ctx, EndpointFilter(agent_id=self.agent.id), 500, None
        )
        return {row.uuid: row for row in page.items}

    def _name(self) -> str:
        return self.random.choice(NAMES)


@pytest.mark.parametrize("seed", range(6))
async def test_the_table_says_what_the_documents_say(ctx: Context, seed: int) -> None:
    plant = Plant(ctx, await make_agent(ctx), seed)
    for _ in range(STEPS):
        await plant.step()
        target, table, shown = await plant.target(), await plant.table(), await plant.shown()
        assert set(target) <= set(table)
        for uuid, row in table.items():
            leaves = row.status == "pending_deletion"
            if uuid in target:
                assert row.entry == target[uuid]
                assert (row.name, row.protocol) == (row.entry["name"], row.entry["protocol"])
                assert leaves == is_leaving(target[uuid])
            else:
                assert leaves
                assert shown is None or uuid in shown
    await sensor_changes.add_sensor(ctx, plant.agent.uuid, values("last"))
    await plant.edge.sync()
    await plant.edge.report()
    target, table = await plant.target(), await plant.table()
    assert set(table) == set(target)
    assert {row.status for row in table.values()} == {"deployed"}
