# mypy: disable-error-code="no-any-return, untyped-decorator"
# Strawberry's decorators and objects read by duck typing hand out Any.
"""A schema with one of everything, and objects that behave well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import strawberry
from strawberry import Parent
from strawberry.dataloader import DataLoader
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from schema.scalars import SCALARS, Column, Json, Long


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"
    ALSO_RED = "red"  # noqa: PIE796  # an alias is what is wanted


class Thing:
    """What the schema reads: the attributes that were drawn, text for the rest."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values


@dataclass(frozen=True)
class Raised:
    """A resolver that meets it raises it."""

    error: Exception


@dataclass(frozen=True)
class Later:
    """An awaitable of a value; may be awaited many times."""

    value: Any
    ticks: int = 0

    def __await__(self) -> Generator[Any, None, Any]:
        for _ in range(self.ticks):
            yield from asyncio.sleep(0).__await__()
        return outcome(self.value)


@dataclass(frozen=True)
class Streamed:
    """An async iterable of items."""

    items: Sequence[Any]

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            yield outcome(item)


@dataclass(frozen=True)
class Once:
    """An iterable that may break off."""

    items: Sequence[Any]

    def __iter__(self) -> Generator[Any, None, None]:
        for item in self.items:
            yield outcome(item)


def outcome(value: Any) -> Any:
    if isinstance(value, Raised):
        raise value.error
    return value


@strawberry.input
class Filter:
    text: str | None = None
    colour: Colour = Colour.BLUE
    numbers: list[int] = strawberry.field(default_factory=lambda: [1])


@strawberry.interface
class Named:
    text: str


@strawberry.type
class Cat(Named):
    number: int

    @classmethod
    def is_type_of(cls, value: Any, _: Any) -> bool:
        return getattr(value, "is_cat", False) is True


@strawberry.type
class Dog(Named):
    flag: bool | None

    @classmethod
    def is_type_of(cls, value: Any, _: Any) -> bool:
        return not getattr(value, "is_cat", False)


def told(info: Info[Any, Any], **arguments: object) -> str:
    raw = info._raw_info
    where = (raw.path.as_list(), raw.path.typename, str(raw.parent_type), str(raw.return_type))
    known = (sorted(raw.fragments), len(raw.field_nodes), dict(raw.variable_values.coerced))
    return repr((where, known, raw.operation.operation, arguments, info.context is not None))


@strawberry.type
class Node:
    text: str
    text_or_null: str | None
    number: int
    number_or_null: int | None
    real: float
    real_or_null: float | None
    flag: bool | None
    ident: strawberry.ID
    uuid: UUID | None
    when: datetime | None
    column: Column
    json: Json | None
    long: Long | None
    colour: Colour
    colour_or_null: Colour | None
    words: list[str | None] | None
    numbers: list[int]
    colours: list[Colour]
    grid: list[list[float | None] | None] | None
    child: Node | None
    child_required: Node
    children: list[Node]
    holes: list[Node | None] | None
    deep: list[list[Node]] | None
    pet: Named | None
    cat: Cat | None
    pets: list[Named] | None

    @strawberry.field
    def plain(self, row: Parent[Any]) -> str:
        return outcome(row.plain)

    @strawberry.field
    def rooted(self, root: Any) -> int | None:
        return outcome(root.rooted)

    @strawberry.field
    def selfish(self) -> float | None:
        return outcome(self.selfish)

    @strawberry.field
    async def slow(self, row: Parent[Any]) -> str:
        await asyncio.sleep(0)
        return outcome(row.slow)

    @strawberry.field(graphql_type="Node | None")
    async def slow_child(self, row: Parent[Any]) -> Any:
        return (
            await outcome(row.slow_child)
            if hasattr(row.slow_child, "__await__")
            else outcome(row.slow_child)
        )

    @strawberry.field(graphql_type="list[Node]")
    def made(self, row: Parent[Any]) -> Any:
        return outcome(row.made)

    @strawberry.field
    def tell(
        self,
        info: Info[Any, Any],
        times: int = 2,
        text: str | None = None,
        colour: Colour | None = Colour.RED,
        tags: list[str] | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> str:
        return told(
            info, times=times, text=text, colour=colour, tags=tags, filter=filter, me=self is None
        )

    @strawberry.field
    def need(self, info: Info[Any, Any], times: int, uuid: UUID | None = None) -> str | None:
        return told(info, times=times, uuid=uuid)

    @strawberry.field
    async def loaded(self, info: Info[Any, Any], row: Parent[Any]) -> int | None:
        return await info.context["loader"].load(str(row.loaded))


@strawberry.type
class Mutation:
    @strawberry.mutation(graphql_type=Node | None)
    async def change(self, info: Info[Any, Any], name: str) -> Any:
        info.context["log"].append(f"start {name}")
        found = getattr(info.root_value, name)
        found = await found if hasattr(found, "__await__") else found
        info.context["log"].append(f"end {name}")
        return outcome(found)

    @strawberry.mutation(graphql_type=Node)
    def replace(self, info: Info[Any, Any], name: str) -> Any:
        info.context["log"].append(name)
        return outcome(getattr(info.root_value, name))


@strawberry.type
class Subscription:
    @strawberry.subscription(graphql_type=Node)
    async def changes(self, size: int = 1) -> AsyncIterator[Any]:
        yield size


schema = strawberry.Schema(
    query=Node,
    mutation=Mutation,
    subscription=Subscription,
    types=[Cat, Dog],
    config=StrawberryConfig(scalar_map=SCALARS),
)


class Batches:
    """A loader's function that remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def __call__(self, keys: list[str]) -> list[int | Exception]:
        self.asked.append(sorted(keys))
        return [ValueError(key) if "bad" in key else len(key) for key in keys]


def new_context() -> dict[str, Any]:
    batches = Batches()
    return {"log": [], "batches": batches, "loader": DataLoader(batches)}
