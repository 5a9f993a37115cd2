"""An agent that keeps endpoints by the simulator's rules: what it polls, keeps and reports."""

from __future__ import annotations

import json
from typing import Any

from core.context import Context
from fleetgraph.simulator.target import Target
from models.agents import Agent
from resolvers import current_states, target_states
from tests.resolvers.edge import as_agent


class ReadingAgent:
    """Takes over what it polls as a simulated agent does, and reports what it then has."""

    def __init__(self, ctx: Context, agent: Agent) -> None:
        self.me = as_agent(ctx, agent)
        self.agent = agent
        self.version = 1
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self._target = Target(self.warnings.append)
        self.refused: set[str] = set()  # names of endpoints that it does not take over
        self._told: list[dict[str, Any]] | None = None

    @property
    def reads(self) -> list[str]:
        """Names of the endpoints whose devices are asked."""
        return sorted(e["name"] for e in self.endpoints.values() if e.get("enabled") is not False)

    async def poll(self) -> None:
        state = await target_states.poll_target_state(self.me, self.agent.uuid)
        target = state.document[str(self.agent.uuid)]
        self._target.apply(target)
        self.version = self._target.version
        self.endpoints = {
            uuid: e
            for uuid, e in self._target.endpoints.items()
            if e["name"] not in self.refused and "slaveRange" not in e["connection"]
        }

    def shown(self) -> list[dict[str, Any]]:
        """Return the endpoints in the form of reports."""
        hidden = {"uuid", "connection"}
        return [
            {key: value for key, value in e.items() if key not in hidden}
            | {"id": uuid, "connectionString": json.dumps(e["connection"])}
            for uuid, e in self.endpoints.items()
        ]

    async def report(self, *, restarted: bool = False, **fields: Any) -> None:
        """Report, with the configuration where it is new to the cloud."""
        body: dict[str, Any] = {"apps": {}, "is_online": True, "version": self.version} | fields
        if restarted or self._told != self.shown():
            self._told = self.shown()
            body["config"] = {"endpoints": self._told}
        report = {str(self.agent.uuid): body}
        await current_states.report_state(self.me, report, transport="mqtt")

    async def sync(self) -> None:
        await self.poll()
        await self.report()
