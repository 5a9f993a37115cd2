"""Updates of agents' own software."""

from __future__ import annotations

from typing import Any

from resolvers.agent_updates import UpdateWish, request_agent_update
from tests.contracts.cases.world import Case, World, nothing
from tests.factories import make_agent


def _cancelled(world: World) -> dict[str, Any]:
    return {"path": {"id": world.answered["RequestAgentUpdate"]["update"]["id"]}}


async def _many(world: World) -> dict[str, Any]:
    free, busy = await make_agent(world.ctx), await make_agent(world.ctx)
    await request_agent_update(world.ctx, busy.uuid, UpdateWish("1.0.599"))
    uuids = [str(free.uuid), str(busy.uuid)]
    return {"json": {"agent_uuids": uuids, "version": "1.0.600"}}


CASES: dict[str, Case] = {
    "ListAgentUpdates": nothing,
    "RequestAgentUpdate": lambda _: {"json": {"version": "1.0.600", "replace": True}},
    "RequestAgentUpdates": _many,
    "CancelAgentUpdate": _cancelled,
}

ORDER = ("RequestAgentUpdate", "RequestAgentUpdates", "CancelAgentUpdate")
