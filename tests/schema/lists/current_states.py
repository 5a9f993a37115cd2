"""What agents report, before and now."""

from __future__ import annotations

from typing import Any

from core.context import Context
from resolvers.current_states import report_state
from resolvers.target_states import set_target_state
from tests.factories import make_agent
from tests.schema.asking import as_agent
from tests.schema.lists.case import Make


async def _history(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    for at in range(number):  # replays: of live ones only one is kept in ten seconds
        await report_state(as_agent(ctx, agent), {"apps": {str(at): {}}}, transport="mqtt")
    return {"u": str(agent.uuid)}


async def _state(ctx: Context, number: int) -> dict[str, Any]:
    """Report so many of everything that a report has lists of, none of it wanted."""
    agent = await make_agent(ctx)
    await set_target_state(ctx, agent.uuid, apps={}, config={"features": {}})
    services = [{"serviceName": f"service {at}"} for at in range(number)]
    report = {
        "version": 2,
        "apps": {"0": {"services": services}, **{str(at): {} for at in range(1, number)}},
        "endpoints_health": {f"endpoint {at}": {"status": "online"} for at in range(number)},
        "network_interfaces": [{"name": f"eth{at}"} for at in range(number)],
    }
    await report_state(as_agent(ctx, agent), report, transport="mqtt")
    return {"u": str(agent.uuid)}


def _of_agent(rest: str) -> str:
    return f"query ($u: UUID!) {{ {rest} }}"


def _of_state(rest: str) -> str:
    return _of_agent(f"agent(uuid: $u) {{ currentState {{ {rest} }} }}")


RECORD = "at isReplay version report"

CASES: dict[str, tuple[Make, str]] = {
    "StateReportConnection.nodes": (
        _history,
        _of_agent(
            f"stateHistory(agentUuid: $u) {{ nodes {{ {RECORD} }} pageInfo {{ endCursor }} }}"
        ),
    ),
    "StateReportConnection.edges": (
        _history,
        _of_agent(f"stateHistory(agentUuid: $u) {{ edges {{ cursor node {{ {RECORD} }} }} }}"),
    ),
    "CurrentState.runningApps": (_state, _of_state("runningApps { appId name }")),
    "RunningApp.services": (
        _state,
        _of_state("runningApps { services { name image state containerId } }"),
    ),
    "CurrentState.endpoints": (_state, _of_state("endpoints { name status updatedAt }")),
    "SystemInfo.interfaces": (_state, _of_state("systemInfo { interfaces { name ip4 } }")),
    "AgentDrift.differences": (
        _state,
        _of_agent("agent(uuid: $u) { drift { status differences { kind path } } }"),
    ),
}
