"""Agents, their states, readings and provisioning."""

from __future__ import annotations

from tests.contracts.cases.world import Case, World, nothing


def _own_key(world: World) -> dict[str, str]:
    return {"x-agent-key": world.registered["deviceApiKey"]}


CASES: dict[str, Case] = {
    **dict.fromkeys(
        (
            *("ListAgents", "GetAgent", "FetchSelf", "ListProvisioningKeys"),
            *("LatestReadings", "Timeseries", "GetCurrentState"),
        ),
        nothing,
    ),
    "CreateProvisioningKey": lambda _: {"json": {"maxDevices": 2}},
    "ReportState": lambda world: {"json": {str(world.agent.uuid): {"apps": {}}}},
    "UploadDeviceLogs": lambda _: {
        "content": b'{"message": "hello"}\n',
        "headers": {"X-Batch-Id": "b1"},
    },
    "RegisterAgent": lambda world: {"json": world.registration()},
    "ReissueChallenge": lambda world: {
        "json": {},
        "headers": _own_key(world),
        "path": {"uuid": world.registered["uuid"]},
    },
    "ExchangeKey": lambda world: {
        "json": world.proof(),
        "headers": _own_key(world),
        "path": {"uuid": world.registered["uuid"]},
    },
}

ORDER = ("CreateProvisioningKey", "RegisterAgent", "ReissueChallenge", "ExchangeKey")
"""Mutations that later ones need, in this order; all others come after them."""
