"""The register: agents' names, tags, ends; fleets."""

from __future__ import annotations

from typing import Any

from tests.contracts.cases.world import Case, World, nothing
from tests.factories import make_agent


def _fleet(world: World) -> dict[str, Any]:
    return {"path": {"fleetId": world.answered["CreateFleet"]["fleet_uuid"]}}


async def _known_fleet(world: World) -> dict[str, Any]:
    from resolvers.fleets import FleetChanges, create_fleet

    fleet = await create_fleet(world.ctx, FleetChanges(name="known"))
    await make_agent(world.ctx, fleet_id=fleet.id, tags={"site": "berlin"})
    return {"path": {"fleetId": str(fleet.id)}}


async def _spare_agent(world: World) -> dict[str, Any]:
    return {"path": {"uuid": str((await make_agent(world.ctx)).uuid)}}


CASES: dict[str, Case] = {
    **dict.fromkeys(("ListFleets", "GetAgentTags", "ListTagKeys"), nothing),
    "GetFleet": _known_fleet,
    "ListTagValues": lambda _: {"path": {"key": "site"}},
    "QueryAgents": lambda _: {"json": {}},
    "UpdateAgent": lambda _: {"json": {"deviceName": "renamed", "location": "hall 1"}},
    "SetAgentActive": lambda _: {"json": {"is_active": True}},
    "DeleteAgent": _spare_agent,
    "SetAgentTags": lambda _: {"json": {"tags": {"site": "berlin", "line": "a"}}},
    "RemoveAgentTag": lambda _: {"path": {"key": "line"}},
    "ReplaceAgentTags": lambda _: {"json": {"tags": {"site": "bonn"}}},
    "ChangeTags": lambda world: {
        "json": {"agent_uuids": [str(world.agent.uuid)], "set": {"ring": "1"}}
    },
    "CreateFleet": lambda _: {"json": {"fleet_name": "presses"}},
    "UpdateFleet": lambda world: {"json": {"location": "hall 1"}, **_fleet(world)},
    "AddAgentsToFleet": lambda world: {
        "json": {"agent_uuid": str(world.agent.uuid)},
        **_fleet(world),
    },
    "RemoveAgentFromFleet": lambda world: {
        "path": {"uuid": str(world.agent.uuid), **_fleet(world)["path"]}
    },
    "DeleteFleet": _fleet,
}

ORDER = (
    *("SetAgentTags", "RemoveAgentTag"),
    *("CreateFleet", "UpdateFleet", "AddAgentsToFleet", "RemoveAgentFromFleet", "DeleteFleet"),
)
