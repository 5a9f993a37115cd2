"""Fleets, their agents, and tags."""

from __future__ import annotations

from typing import Any

from core.context import Context
from models.fleets import Fleet
from resolvers.fleets import FleetChanges, create_fleet
from tests.factories import make_agent
from tests.schema.lists.case import Make


async def _fleet(ctx: Context, name: str, agents: int) -> Fleet:
    fleet = await create_fleet(ctx, FleetChanges(name=name))
    for at in range(agents):
        await make_agent(ctx, fleet_id=fleet.id, tags={"site": f"site {at}", f"key-{at}": "x"})
    return fleet


async def _fleets(ctx: Context, number: int) -> dict[str, Any]:
    for at in range(number):
        await _fleet(ctx, f"{number} fleets, {at}", 2)
    return {}


async def _members(ctx: Context, number: int) -> dict[str, Any]:
    return {"u": str((await _fleet(ctx, f"{number} members", number)).id)}


FLEET = """
  name counts { agents offline } agentCount onlineCount
  agents(first: 5) { name fleet { name } mqttUsername }
"""

CASES: dict[str, tuple[Make, str]] = {
    "FleetConnection.nodes": (_fleets, f"{{ fleets {{ totalCount nodes {{ {FLEET} }} }} }}"),
    "FleetConnection.edges": (_fleets, f"{{ fleets {{ edges {{ cursor node {{ {FLEET} }} }} }} }}"),
    "Fleet.agents": (
        _members,
        "query($u: UUID!) { fleet(uuid: $u) { agents { name fleet { name } mqttUsername } } }",
    ),
    "Query.tagKeys": (_members, "{ tagKeys { key agents } }"),
    "Query.tagValues": (_members, '{ tagValues(key: "site") { value agents } }'),
}
