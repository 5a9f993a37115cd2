"""What the root fields about updates of agents are called with: see field_cases.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]

WISH = {"version": "1.0.600", "replace": True}

UPDATES: dict[str, Arguments] = {
    "Query.agentUpdate": lambda it, _: {"id": str(it.agent_update_id)},
    "Query.agentUpdates": lambda it, _: {"filter": {"agentUuid": it.uuid}},
    "Mutation.requestAgentUpdate": lambda it, _: {"agentUuid": it.uuid, "update": WISH},
    "Mutation.requestAgentUpdates": lambda it, _: {"agentUuids": [it.uuid], "update": WISH},
    "Mutation.cancelAgentUpdate": lambda it, _: {
        "id": str(it.agent_update_id),
        "agentUuid": it.uuid,
    },
    "Subscription.agentUpdateChanged": lambda it, _: {"agentUuid": it.uuid},
}
