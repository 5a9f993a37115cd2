"""What each root field is called with, by noun. A field that is missing here fails by name.

The first tenancy is the one whose things the call is about, the second the one whose caller makes
it; they are the same but for callers of another tenant. Ids are always of the first, secrets that
prove something always of the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import PASSWORD, Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]


def nothing(_it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    """Give no arguments."""
    return {}


def _agent(it: Tenancy, _me: Tenancy) -> dict[str, Any]:
    return {"agentUuid": it.uuid}


AGENTS: dict[str, Arguments] = {
    "Query.agent": lambda it, _: {"uuid": it.uuid},
    "Query.agents": nothing,
    "Query.agentPage": nothing,
    "Query.series": lambda it, _: {"select": {"agentUuids": [it.uuid]}},
    "Query.history": _agent,
    "Query.targetState": _agent,
    "Query.deviceState": _agent,
    "Query.currentState": _agent,
    "Mutation.setTargetState": lambda it, _: {"agentUuid": it.uuid, "apps": {"2": {}}},
    "Mutation.clearTargetState": _agent,
    "Mutation.reportState": lambda it, _: {"report": {it.uuid: {"apps": {}}}},
    "Mutation.uploadDeviceLogs": lambda it, _: {
        "agentUuid": it.uuid,
        "body": '{"message": "hello"}\n',
    },
    "Subscription.readings": _agent,
    "Subscription.agentChanged": _agent,
}

PROVISIONING: dict[str, Arguments] = {
    "Query.provisioningKeys": nothing,
    "Mutation.createProvisioningKey": lambda it, _: {"fleetUuid": str(it.fleet.id)},
    "Mutation.registerAgent": lambda it, me: {
        "agent": it.stranger.words(),
        "provisioningKey": [me.provisioning_key],
    },
    "Mutation.exchangeKey": lambda it, me: {
        "uuid": str(it.newcomer.uuid),
        "signature": me.newcomer.proof(),
        "deviceKey": me.newcomer.device_key,
    },
    "Mutation.reissueChallenge": lambda it, me: {
        "uuid": str(it.newcomer.uuid),
        "deviceKey": me.newcomer.device_key,
    },
}

ACCOUNTS: dict[str, Arguments] = {
    "Query.me": nothing,
    "Mutation.login": lambda _, me: {"username": me.spare.username, "password": PASSWORD},
}

FIELDS: dict[str, Arguments] = {**AGENTS, **PROVISIONING, **ACCOUNTS}

MORE: dict[str, list[Arguments]] = {
    "Query.agents": [lambda _it, _me: {"first": 2}],
    "Mutation.registerAgent": [
        lambda it, me: {
            "agent": {**me.stranger.words(), "uuid": it.uuid},
            "provisioningKey": [me.provisioning_key],
        }
    ],
    "Mutation.exchangeKey": [
        lambda it, me: {
            "uuid": it.uuid,
            "signature": me.newcomer.proof(),
            "deviceKey": me.device_key,
        }
    ],
}
"""What another tenant tries besides, so that each argument that is an id is one of this tenant."""
