"""What the root fields about keys of agents are called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def _agent(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid}


KEYS: dict[str, Arguments] = {
    "Query.devicePing": _agent,
    "Query.deviceKeyStatus": _agent,
    "Query.deviceKeys": _agent,
    "Mutation.rotateDeviceKey": _agent,
    "Mutation.revokeDeviceKeys": lambda it, _: {"agentUuid": it.uuid, "reason": "stolen"},
    "Mutation.revokeProvisioningKey": lambda it, _: {"id": str(it.provisioning_key_id)},
}

MORE_KEYS: dict[str, list[Arguments]] = {
    "Mutation.createProvisioningKey": [lambda it, _: {"replaces": str(it.provisioning_key_id)}],
    "Query.provisioningKeys": [lambda it, _: {"fleetUuid": str(it.fleet.id)}],
}
"""What another tenant tries besides."""
