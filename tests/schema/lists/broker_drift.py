"""Drift of brokers."""

from __future__ import annotations

from typing import Any

from core.broker_drift import Drift, DriftKind
from core.context import Context
from models.broker_drift import add_drifts
from tests.schema.lists.case import Make


async def _drifts(ctx: Context, number: int) -> dict[str, Any]:
    found = [Drift(DriftKind.ACCOUNT_MISSING, f"T/a/{each}") for each in range(number)]
    await add_drifts(ctx.tenant_id, found, ctx.clock.now(), None)
    return {}


DRIFT = "kind subject foundAt repairedAt"

CASES: dict[str, tuple[Make, str]] = {
    "BrokerDriftConnection.nodes": (
        _drifts,
        f"{{ brokerDrift {{ totalCount nextCursor isInSync checkedAt nodes {{ {DRIFT} }} }} }}",
    ),
    "BrokerDriftConnection.edges": (
        _drifts,
        f"{{ brokerDrift {{ edges {{ cursor node {{ {DRIFT} }} }} pageInfo {{ endCursor }} }} }}",
    ),
}
