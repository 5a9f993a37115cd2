"""A small Strawberry schema with every kind of input and answer that operations must handle."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, NewType
from uuid import UUID

import numpy as np
import strawberry
from graphql import GraphQLSchema
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from core.callers import Caller
from core.errors import (
    AppError,
    Conflict,
    ErrorCode,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    RateLimited,
    Unauthenticated,
    Unavailable,
)

KNOWN = UUID("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d")
Column = NewType("Column", object)
Bytes = NewType("Bytes", bytes)
DOCUMENT = {str(KNOWN): {"apps": {}, "config": {"_kept": None}, "version": 7}}


@dataclass
class World:
    """What the resolvers see and record."""

    caller: Caller
    request_id: str
    remote_address: str
    user_agent: str = ""
    down: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)


@strawberry.enum
class AgentState(enum.Enum):
    ACTIVE = "active"
    GOING_DOWN = "going-down"


@strawberry.type
class Agent:
    uuid: UUID
    name: str
    state: AgentState
    last_seen_at: datetime
    tags: JSON | None = None


@strawberry.type
class Place:
    city: str


@strawberry.input
class PlaceInput:
    city: str
    kind: AgentState = AgentState.ACTIVE


@strawberry.type
class PageInfo:
    limit: int | None


@strawberry.type
class AgentConnection:
    nodes: list[Agent]
    page: PageInfo
    total: int


@strawberry.type
class Document:
    document: JSON
    etag: str


@strawberry.type
class Created:
    agent: Agent
    given: JSON
    is_new: bool


@strawberry.type
class Uploaded:
    batch_id: str
    accepted: bool
    duplicate: bool | None
    size: int
    outcome: str


@strawberry.type
class Series:
    metric: str
    unit: str | None
    timestamps: Column
    values: list[float | None]


@strawberry.type
class Readings:
    uuid: UUID
    series: list[Series] | None


Thing = Annotated[Agent | Place, strawberry.union("Thing")]
Info = strawberry.Info[World, None]


def agent_named(name: str, tags: Any = None) -> Agent:
    return Agent(
        uuid=KNOWN,
        name=name,
        state=AgentState.ACTIVE,
        last_seen_at=datetime(2026, 1, 2, tzinfo=UTC),
        tags=tags,
    )


FAILURES: dict[str, Exception] = {
    ErrorCode.INVALID_INPUT: InvalidInput("start", "is no time"),
    ErrorCode.UNAUTHENTICATED: Unauthenticated(),
    ErrorCode.FORBIDDEN: Forbidden("not yours", permission="x"),
    ErrorCode.NOT_FOUND: NotFound("agent", KNOWN),
    ErrorCode.CONFLICT: Conflict("exists"),
    ErrorCode.PRECONDITION_FAILED: PreconditionFailed("changed"),
    ErrorCode.LIMIT_REACHED: LimitReached("full", limit=3, used=3),
    ErrorCode.RATE_LIMITED: RateLimited("slow down", retry_after_seconds=60),
    ErrorCode.PAYLOAD_TOO_LARGE: PayloadTooLarge("log", limit_bytes=10),
    ErrorCode.UNAVAILABLE: Unavailable("database", retry_after_seconds=5),
    ErrorCode.INTERNAL: AppError("secret: told to nobody"),
    "unexpected": RuntimeError("secret: password=hunter2"),
}


@strawberry.type
class Query:
    @strawberry.field
    async def agents(
        self,
        state: AgentState | None = None,
        uuids: list[UUID] | None = None,
        limit: int | None = 50,
        online: bool | None = None,
        ratio: float | None = None,
    ) -> AgentConnection:
        given = {"state": state and state.name, "uuids": uuids and len(uuids), "online": online}
        told = ",".join(f"{key}={value}" for key, value in {**given, "ratio": ratio}.items())
        nodes = [agent_named(told), agent_named("second", tags={"a": None})]
        return AgentConnection(nodes=nodes, page=PageInfo(limit=limit), total=17)

    @strawberry.field
    async def agent(self, uuid: UUID) -> Agent | None:
        return agent_named("press") if uuid == KNOWN else None

    @strawberry.field
    async def device_state(self, info: Info, uuid: UUID) -> Document:
        info.context.calls.append("device_state")
        if "database" in info.context.down:
            raise Unavailable("database")
        return Document(document=JSON(DOCUMENT), etag="abc")

    @strawberry.field
    def thing(self, name: str) -> Thing:
        return Place(city=name) if name == "Riga" else agent_named(name)

    @strawberry.field
    async def readings(self, uuid: UUID, metric: str | None = None) -> Readings:
        first = Series(
            metric="a", unit="°C", timestamps=Column(np.array([1, 3])), values=[0.5, None]
        )
        second = Series(metric="b", unit=None, timestamps=Column([2]), values=[7.0])
        known = {None: [first, second], "none": [], "null": None}
        return Readings(uuid=uuid, series=known[metric])

    @strawberry.field
    async def whoami(self, info: Info) -> str:
        world = info.context
        return f"{world.caller.role} {world.request_id} {world.remote_address}"

    @strawberry.field
    async def fail(self, how: str) -> str:
        raise FAILURES[how]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def create_agent(
        self,
        name: str,
        tags: list[str] | None = None,
        location: str | None = strawberry.UNSET,
        kind: AgentState | None = None,
        place: PlaceInput | None = None,
        dry_run: bool | None = None,
    ) -> Created:
        given: dict[str, object] = {"kind": kind and kind.name, "dryRun": dry_run}
        if location is not strawberry.UNSET:
            given["location"] = location
        if place is not None:
            given["place"] = [place.city, place.kind.name]
        agent = agent_named(name, tags)
        return Created(agent=agent, given=JSON(given), is_new=name != "old")

    @strawberry.mutation
    async def delete_agent(self, info: Info, uuid: UUID, reason: str | None = None) -> bool:
        info.context.calls.append(f"delete {reason}")
        return True

    @strawberry.mutation
    async def report_state(self, info: Info, report: JSON) -> bool:
        if "database" in info.context.down:
            raise Unavailable("database")
        info.context.calls.append(f"report {report}")
        return True

    @strawberry.mutation
    async def upload_logs(
        self, uuid: UUID, lines: Bytes, batch_id: str | None = None, attempt: int | None = 1
    ) -> Uploaded:
        again = (attempt or 1) > 1
        return Uploaded(
            batch_id=batch_id or "auto-generated",
            accepted=True,
            duplicate=again or None,
            size=len(lines),
            outcome="DUPLICATE" if again else "QUEUED",
        )

    @strawberry.mutation
    async def register(self, name: str, key: str | None = None) -> str:
        return f"{name} with {key}"


def toy_schema() -> GraphQLSchema:
    scalars: dict[object, ScalarDefinition] = {
        Bytes: strawberry.scalar(name="Bytes", parse_value=bytes),
        Column: strawberry.scalar(name="Column", serialize=lambda column: column),
    }
    schema = strawberry.Schema(
        Query,
        Mutation,
        types=[Place],
        config=StrawberryConfig(scalar_map=scalars),
    )
    return schema._schema
