"""Stand-ins behind the socket endpoint: an engine that does what the query says, and live data."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import orjson
import uvicorn
from graphql import GraphQLError, OperationType

from core.callers import Caller, Role
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.incoming import read_request
from fleetgraph.graphql.socket import SocketEndpoint
from fleetgraph.setting_sections import GraphqlSettings
from schema.execution.requests import Answer, GraphQLRequest, Refused
from tests.doubles import ManualClock
from tests.fleetgraph.graphql.wired import serving


class StandingEngine:
    """Runs `echo`, hangs at `hang`, fails at `fail`, follows with `follow`, refuses the rest."""

    def __init__(self) -> None:
        self.hanging = 0

    def prepare(self, request: GraphQLRequest, context: Any) -> Any:
        kinds = {"follow": OperationType.SUBSCRIPTION, "mutate": OperationType.MUTATION}
        if request.query not in {"echo", "hang", "fail", *kinds}:
            raise Refused([GraphQLError("no such thing")])
        return SimpleNamespace(
            type=kinds.get(request.query, OperationType.QUERY), query=request.query
        )

    async def run(self, prepared: Any, variables: Mapping[str, Any] | None, context: Any) -> Answer:
        if prepared.query == "fail":
            raise RuntimeError("a secret")
        if prepared.query == "hang":
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1
        return Answer(dict(variables or {}))


class StandingTicket:
    """Holds back the newest payload while its member is not ready."""

    def __init__(self, live: StandingLive, member: Any) -> None:
        self._live = live
        self.member = member
        self.waiting: bytes | None = None

    def deliver(self, payload: bytes) -> None:
        if self.member.is_ready():
            self.member.send(payload)
        else:
            self.waiting = payload

    def flush(self) -> None:
        if self.waiting is not None and self.member.is_ready():
            payload, self.waiting = self.waiting, None
            self.member.send(payload)

    async def close(self) -> None:
        self._live.tickets.pop(self.member.id, None)


class StandingLive:
    """Live subscriptions that a test feeds by hand, by the id of the operation."""

    def __init__(self) -> None:
        self.tickets: dict[str, StandingTicket] = {}

    async def open(self, prepared: Any, variables: Any, context: Any, member: Any) -> Any:
        ticket = self.tickets[member.id] = StandingTicket(self, member)
        return ticket


class Standing:
    """A socket endpoint over stand-ins, for callers whose token may end."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.caller = Caller(Role.OWNER, 1)
        self.judging: asyncio.Event | None = None
        self.engine = StandingEngine()
        self.live = StandingLive()
        edge = Edge(
            engine=self.engine,  # type: ignore[arg-type]
            settings=GraphqlSettings(**settings),
            caller_of=self._caller_of,
            make_ctx=self._context,
            read_request=read_request,
            clock=self.clock,
            body_bytes_max=1 << 20,
        )
        self.endpoint = SocketEndpoint(edge, self.live)  # type: ignore[arg-type]

    def server(self, **changes: Any) -> AbstractAsyncContextManager[tuple[int, uvicorn.Server]]:
        return serving(self.endpoint, **changes)

    async def _caller_of(self, headers: Any, parameters: Any) -> Caller:
        if self.judging is not None:
            await self.judging.wait()
        return self.caller

    def _context(
        self, caller: Caller, request_id: str, remote_address: str, user_agent: str
    ) -> Any:
        return SimpleNamespace(
            caller=caller, tenant_id=caller.tenant_id, request_id=request_id, clock=self.clock
        )


def payload(**data: object) -> bytes:
    return orjson.dumps({"data": data})
