"""The toy schema behind real routes, with callers, limits and outages that a test can set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from core.callers import NOBODY, Caller, Role
from core.errors import RateLimited, Unauthenticated, Unavailable
from rest_compat.adapter import build_routes
from rest_compat.calls import Deferred
from rest_compat.catalog import Catalog, load_catalog
from rest_compat.endpoints import Endpoint
from tests.rest_compat.toy import KNOWN, World, toy_schema
from tests.rest_compat.toy_engine import ToyEngine

OPERATIONS = Path(__file__).parent / "operations"
USER = {"Authorization": "Bearer user-token"}
AGENT = {"X-Device-API-Key": "device-key"}
LIMIT_BYTES = 100_000


@cache
def served() -> tuple[GraphQLSchema, Catalog]:
    schema = toy_schema()
    return schema, load_catalog(schema, OPERATIONS)


@dataclass
class Harness:
    """The routes, and everything handed in to them."""

    down: set[str] = field(default_factory=set)
    worlds: list[World] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)
    takes_deferred: bool = True
    limited: bool = False
    counted: list[tuple[str, Role]] = field(default_factory=list)
    etags: list[Mapping[str, Any]] = field(default_factory=list)
    etag: str | None = None

    def client(self) -> TestClient:
        schema, catalog = served()
        routes = build_routes(
            catalog,
            engine=ToyEngine(schema),
            context_for=self.context_for,
            caller_of=self.caller_of,
            new_request_id=lambda: "made-here",
            limiter=self.limiter,
            defer=self.defer,
            etag_of=self.etag_of,
            body_limit_bytes=LIMIT_BYTES,
        )
        return TestClient(Starlette(routes=routes), headers=USER)

    @property
    def calls(self) -> list[str]:
        return [call for world in self.worlds for call in world.calls]

    def context_for(
        self, caller: Caller, request_id: str, remote_address: str, user_agent: str
    ) -> World:
        world = World(caller, request_id, remote_address, user_agent, self.down)
        self.worlds.append(world)
        return world

    async def caller_of(self, request: Request) -> Caller:
        if "hanging credentials" in self.down:
            await asyncio.sleep(60)
        if "credentials" in self.down:
            raise Unavailable("database")
        key = request.headers.get("x-device-api-key")
        if key == "device-key":
            return Caller(Role.AGENT, 1, agent_id=1, agent_uuid=KNOWN)
        token = request.headers.get("authorization")
        if token == USER["Authorization"]:
            return Caller(Role.VIEWER, 1, user_id=KNOWN)
        if token or key:
            raise Unauthenticated("unknown credential")
        return NOBODY

    async def limiter(
        self, endpoint: Endpoint, caller: Caller, request: Request
    ) -> Mapping[str, str]:
        self.counted.append((endpoint.limit, caller.role))
        if self.limited:
            raise RateLimited("slow down", retry_after_seconds=60)
        return {"X-RateLimit-Remaining": "9"}

    async def defer(self, deferred: Deferred) -> bool:
        if self.takes_deferred:
            self.deferred.append(deferred)
        return self.takes_deferred

    async def etag_of(
        self, endpoint: Endpoint, caller: Caller, variables: Mapping[str, Any]
    ) -> str | None:
        self.etags.append(variables)
        return self.etag
