"""A schema with a field for each family of answers, and canned values behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLSchema, build_schema

from core.errors import Conflict, InvalidInput, LimitReached, NotFound, PreconditionFailed

SDL = """
scalar JSON
scalar Column
type Tag { key: String! value: String! }
type Protocol { name: String! total: Int! }
type Thing {
  id: ID! name: String! email: String isActive: Boolean! version: Int! note: String warning: String
  tags: [Tag!]! byProtocol: [Protocol!]! created: Boolean! valid: Boolean! health: String!
}
type Things { nodes: [Thing!]! total: Int! next: String hasMore: Boolean! }
type Series { name: String! times: Column! values: Column! }
type History { agent: String! series: [Series!]! }
input Point { metric: String! value: Float! }
enum Granularity { HOURLY DAILY }
type Query {
  things: [Thing!]!
  page(after: String, limit: Int = 2): Things!
  thing(id: ID): Thing
  missing(id: ID!): Thing
  history(granularity: Granularity, metric: String): History!
  bucket(granularity: Granularity!): String!
  health: Thing!
}
type Mutation {
  done: Boolean!
  make(name: String!, email: String, dry: Boolean): Thing!
  put(id: ID!, name: String, version: Int): Thing!
  insert(points: [Point!]!): Int!
  say(body: JSON): JSON
  refuse(how: String!): Boolean!
}
type Subscription { ticks(upTo: Int!): Int! chat(text: String!): JSON! }
"""

REFUSALS = {
    "limit": LimitReached("full", limit=3, used=3, plan="trial"),
    "details": InvalidInput("queries.0.metric", "is required"),
    "fields": InvalidInput("config", "is wrong", problems=[{"field": "a", "message": "b"}]),
    "conflict": Conflict("Nothing is pending", version=4),
    "gone": NotFound("fleet", "f1"),
}


def thing(**changes: Any) -> dict[str, Any]:
    usual = {
        "id": "7",
        "name": "press",
        "email": "p@example.com",
        "isActive": True,
        "version": 3,
        "note": None,
        "warning": None,
        "created": True,
        "valid": False,
        "health": "healthy",
        "tags": [{"key": "line", "value": "3"}, {"key": "site", "value": "Riga"}],
        "byProtocol": [{"name": "modbus", "total": 2}],
    }
    return usual | changes


def _put(_: Any, info: Any, **given: Any) -> dict[str, Any]:
    if given.get("version") not in {None, 3}:
        raise PreconditionFailed("changed")
    note = "absent" if "name" not in given else "null" if given["name"] is None else None
    return thing(name=given.get("name") or "press", note=note)


def _refuse(_: Any, info: Any, how: str) -> bool:
    raise REFUSALS[how]


async def _ticks(_: Any, info: Any, upTo: int) -> Any:
    for number in range(1, upTo + 1):
        if number == 4:
            raise Conflict("no more")
        yield {"ticks": number}


async def _chat(_: Any, info: Any, text: str) -> Any:
    for word in text.split():
        yield {"chat": {"delta": word}}


RESOLVERS: dict[str, Mapping[str, Any]] = {
    "Query": {
        "things": lambda *_: [thing()],
        "page": lambda *_, **given: {
            "nodes": [thing()],
            "total": 9,
            "next": "c2",
            "hasMore": given.get("after") is None,
        },
        "thing": lambda *_, **given: thing(),
        "missing": lambda *_, **given: None,
        "history": lambda *_, **given: {
            "agent": "a",
            "series": [{"name": "m", "times": [1, 2], "values": [0.5, None]}],
        },
        "bucket": lambda *_, granularity: granularity,
        "health": lambda *_: thing(health="unhealthy"),
    },
    "Mutation": {
        "done": lambda *_: True,
        "make": lambda *_, name, **given: thing(
            name=name, created=name != "old", valid=bool(given.get("dry"))
        ),
        "put": _put,
        "insert": lambda *_, points: len(points),
        "say": lambda *_, body: body,
        "refuse": _refuse,
    },
}


def toy() -> GraphQLSchema:
    schema = build_schema(SDL)
    for type_name, resolvers in RESOLVERS.items():
        for name, resolver in resolvers.items():
            schema.type_map[type_name].fields[name].resolve = resolver  # type: ignore[attr-defined]
    assert schema.subscription_type is not None
    schema.subscription_type.fields["ticks"].subscribe = _ticks
    schema.subscription_type.fields["chat"].subscribe = _chat
    return schema


@dataclass(frozen=True)
class Row:
    """One family: where the contract has it, how `@rest` says it, what a client sees."""

    about: str
    document: str
    request: tuple[str, str]
    body: Any
    status: int = 200
    json: Any = None
    content: bytes | None = None
    sent: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
