"""Both faces of the API on one set of parts, in process and behind a real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from core.callers import NOBODY, Caller
from core.context import Context
from core.errors import Unavailable
from core.ids import secret_hash
from fleetgraph.app import the_catalog
from fleetgraph.credentials import caller_of, caller_of_connection
from fleetgraph.graphql.allow_list import load_allow_list
from fleetgraph.graphql.edge import Edge
from fleetgraph.graphql.endpoint import Endpoint
from fleetgraph.graphql.hint import hint
from fleetgraph.graphql.incoming import read_request
from fleetgraph.kept_answers import DatabaseKeptAnswers
from fleetgraph.rest_limits import rest_limiter
from fleetgraph.server import uvicorn_config
from fleetgraph.setting_sections import GraphqlSettings
from models.agents import Agent
from models.device_keys import DeviceKey
from models.unit_of_work import unit_of_work
from models.users import User
from resolvers.auth import SignedIn
from resolvers.device_callers import DEVICE_KEY_PURPOSE
from rest_compat.adapter import build_routes
from rest_compat.calls import Deferred
from schema.context import GraphQLContext
from schema.execution.engine import Engine
from schema.root import schema
from tests.factories import make_user


class Api:
    """An application over the parts in `ctx`; `is_down` stands for a database that is away."""

    def __init__(
        self,
        ctx: Context,
        *,
        body_bytes_max: int = 16 * 1024 * 1024,
        origins: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        """`settings` are those of the GraphQL endpoint."""
        self.ctx = ctx
        self.is_down = False
        self.deferred: list[Deferred] = []
        graph = schema._schema
        chosen = GraphqlSettings(**settings)
        allowed = load_allow_list(chosen.allow_list, graph) if chosen.allow_list else None
        edge = Edge(
            engine=Engine(schema),
            settings=chosen,
            caller_of=self.graphql_caller,
            make_ctx=self.context,
            read_request=allowed.read_request if allowed else read_request,
            clock=ctx.clock,
            body_bytes_max=body_bytes_max,
            origins=origins,
            limits=ctx.limits,
        )
        self.endpoint = Endpoint(edge, page=hint)
        self.app = Starlette(
            routes=[
                *self.endpoint.routes(),
                *build_routes(
                    the_catalog(),
                    engine=edge.engine,
                    context_for=self.graphql_context,
                    caller_of=self.rest_caller,
                    new_request_id=lambda: ctx.ids.uuid().hex,
                    limiter=rest_limiter(ctx.limits),
                    defer=self.defer,
                    kept=DatabaseKeptAnswers(lambda caller: self.context(caller, "-", "")),
                    watch=edge.presence.enter,
                ),
            ]
        )

    def context(
        self, caller: Caller, request_id: str, remote_address: str, user_agent: str = ""
    ) -> Context:
        return replace(
            self.ctx,
            caller=caller,
            request_id=request_id,
            remote_address=remote_address,
            user_agent=user_agent,
        )

    def graphql_context(
        self, caller: Caller, request_id: str, address: str, user_agent: str
    ) -> GraphQLContext:
        return GraphQLContext(self.context(caller, request_id, address, user_agent))

    async def graphql_caller(
        self, headers: Mapping[str, str], parameters: Mapping[str, object] | None
    ) -> Caller:
        self._check()
        return await caller_of_connection(self.context(NOBODY, "-", ""), headers, parameters)

    async def rest_caller(self, request: Request) -> Caller:
        self._check()
        return await caller_of(self.context(NOBODY, "-", ""), request.headers)

    async def defer(self, deferred: Deferred) -> bool:
        self.deferred.append(deferred)
        return True

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("database")

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://fleet.test:3002", headers=headers
        ) as client:
            yield client

    @asynccontextmanager
    async def server(self) -> AsyncIterator[int]:
        """Serve on a free port of the loopback; yields the port."""
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn_config(self.app))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with asyncio.timeout(10):
                while not server.started:  # noqa: ASYNC110  # uvicorn offers no event
                    await asyncio.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            self.endpoint.interrupt()
            server.should_exit = True
            await running
            await self.endpoint.stop()
            listening.close()


async def sign_in(ctx: Context, **changes: Any) -> tuple[User, str]:
    """Return a person and a value for `Authorization`."""
    user = await make_user(ctx, **({"role": "owner"} | changes))
    return user, f"Bearer {await access_token_of(ctx, user)}"


async def access_token_of(ctx: Context, user: User) -> str:
    """Return an access token of a new session of the person."""
    async with unit_of_work(ctx) as work:
        return (await SignedIn.begin(ctx, work, user)).access_token


async def give_key(ctx: Context, agent: Agent) -> str:
    """Return a device key that holds for the agent."""
    key = f"v2_9f01ab23_{ctx.ids.secret_hex(32)}"
    now = ctx.clock.now()
    await DeviceKey.create(
        tenant_id=agent.tenant_id,
        agent_id=agent.id,
        key_hash=secret_hash(DEVICE_KEY_PURPOSE, key),
        created_at=now,
        proven_at=now,
    )
    return key
