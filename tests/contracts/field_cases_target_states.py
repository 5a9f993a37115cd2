"""What the root fields about target states are called with: see tests/contracts/field_cases.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def _agent(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid}


def _app(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid, "appId": 1}


TARGET_STATES: dict[str, Arguments] = {
    "Query.targetState": _agent,
    "Query.deviceState": _agent,
    "Query.targetStateVersions": _agent,
    "Query.targetStateVersion": lambda it, _: {"agentUuid": it.uuid, "version": 2},
    "Mutation.setTargetState": lambda it, _: {"agentUuid": it.uuid, "apps": {"2": {}}},
    "Mutation.clearTargetState": _agent,
    "Mutation.deployTargetState": _agent,
    "Mutation.cancelTargetDraft": _agent,
    "Mutation.rollbackTargetState": lambda it, _: {"agentUuid": it.uuid, "version": 1},
    "Mutation.addApp": lambda it, _: {"agentUuid": it.uuid, "appId": 2, "services": []},
    "Mutation.setApp": _app,
    "Mutation.updateApp": lambda it, me: {**_app(it, me), "appName": "renamed"},
    "Mutation.removeApp": _app,
    "Mutation.setServiceImage": lambda it, me: {
        **_app(it, me),
        "serviceName": "web",
        "image": "nginx:1.28",
    },
}

MORE_TARGET_STATES: dict[str, list[Arguments]] = {
    "Mutation.setTargetState": [
        lambda it, _: {"agentUuid": it.uuid, "apps": {"2": {}}, "draft": True}
    ],
    "Mutation.deployTargetState": [lambda it, _: {"agentUuid": it.uuid, "override": True}],
}
