"""What the root fields about logs are called with: see field_cases.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contracts.world_of_two import Tenancy

Arguments = Callable[[Tenancy, Tenancy], dict[str, Any]]

LOGS: dict[str, Arguments] = {
    "Query.logs": lambda it, _: {"filter": {"agentUuids": [it.uuid]}},
    "Query.agentLogDrops": lambda it, _: {"agentUuid": it.uuid},
    "Mutation.reportLogDrops": lambda it, _: {
        "agentUuid": it.uuid,
        "summaries": [{"totalCount": 3}],
    },
    "Subscription.logTail": lambda it, _: {"agentUuid": it.uuid},
}

MORE_LOGS: dict[str, list[Arguments]] = {
    "Query.logs": [
        lambda it, _: {"filter": {"fleetUuid": str(it.fleet.id)}},
        lambda it, _: {"filter": {"selector": f"site={it.mark}"}},
        lambda it, _: {"q": it.mark},
    ],
    "Subscription.logTail": [lambda it, _: {"fleetUuid": str(it.fleet.id)}],
}
"""What another tenant tries besides."""
