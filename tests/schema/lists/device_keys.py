"""Keys of an agent."""

from __future__ import annotations

from typing import Any

from core.context import Context
from models.device_keys import put_device_key
from tests.factories import make_agent
from tests.schema.lists.case import Make


async def _keys(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    for _ in range(number):
        digest = bytes.fromhex(ctx.ids.secret_hex(32))
        await put_device_key(ctx.tenant_id, agent.id, digest, ctx.clock.now())
    return {"u": str(agent.uuid)}


KEYS = "query($u: UUID!) { deviceKeys(agentUuid: $u) { %s } }"

CASES: dict[str, tuple[Make, str]] = {
    "DeviceKeyConnection.nodes": (_keys, KEYS % "nodes { id createdAt }"),
    "DeviceKeyConnection.edges": (
        _keys,
        KEYS % "edges { cursor node { id } } pageInfo { endCursor }",
    ),
}
