# mypy: disable-error-code="no-any-return, untyped-decorator"
# Strawberry's decorators and objects read by duck typing hand out Any.
"""What an operation costs in the executor: graphql-core's own against the compiled plan.

python -m benchmarks.plan
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from inspect import isawaitable
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import strawberry
from graphql import OperationDefinitionNode, get_variable_values, parse
from graphql.execution import Executor
from strawberry import Parent
from strawberry.schema.config import StrawberryConfig

from benchmarks.report import table
from schema.enums import AgentStatus, Names
from schema.execution.plan import compile_plan
from schema.scalars import SCALARS, Column

ROUNDS = 7
POINTS = 10_000
ROWS = 1_000


class Record:
    """Data in memory; the plain attributes of the types below."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values


@strawberry.type
class Row:
    a: str
    b: str | None
    c: int
    d: float
    e: float | None
    f: bool
    g: str
    h: str
    i: int | None
    j: float


@strawberry.type
class Agent:
    uuid: UUID
    name: str
    seen: datetime

    @strawberry.field
    def status(self, row: Parent[Any]) -> AgentStatus:
        return AgentStatus.ONLINE if row.is_online else AgentStatus.OFFLINE


@strawberry.type
class Batch:
    cursor: str

    @strawberry.field
    def metric(self, batch: Parent[Any]) -> str:
        return batch.metric_name

    @strawberry.field
    def timestamps(self, batch: Parent[Any]) -> Column:
        return Column(batch.times)

    @strawberry.field
    def values(self, batch: Parent[Any]) -> Column:
        return Column(batch.numbers)


AGENT = Record(
    uuid=UUID(int=1), name="press", is_online=True, seen=datetime(2026, 1, 1, tzinfo=UTC)
)
SERIES = Record(
    cursor="1", metric_name="m", times=np.arange(POINTS, dtype=np.float64), numbers=np.ones(POINTS)
)
EVENT = Record(cursor="1", metric_name="m", times=np.arange(2.0), numbers=np.ones(2))
TABLE = [
    Record(a="a", b=None, c=n, d=n / 3, e=None, f=True, g="g", h="h", i=n, j=0.5)
    for n in range(ROWS)
]  # fmt: skip


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Agent)
    async def agent(self, uuid: UUID) -> Any:
        return AGENT

    @strawberry.field(graphql_type=Batch)
    async def series(self) -> Any:
        return SERIES

    @strawberry.field(graphql_type=list[Row])
    async def rows(self) -> Any:
        return TABLE


@strawberry.type
class Subscription:
    @strawberry.subscription(graphql_type=Batch)
    async def batches(self) -> Any:
        yield EVENT


class Case(NamedTuple):
    name: str
    text: str
    runs: int
    root: Any = None
    variables: dict[str, Any] = {}  # noqa: RUF012  # read only


CASES = [
    Case(
        "three fields",
        "query($u: UUID!){agent(uuid: $u){uuid name status}}",
        3_000,
        None,
        {"u": str(UUID(int=1))},
    ),
    Case("10,000 points as columns", "{series{metric timestamps values}}", 100),
    Case("1,000 rows of 10 fields", "{rows{a b c d e f g h i j}}", 5),
    Case("live event of 4 fields", "subscription{batches{cursor metric timestamps values}}", 5_000, EVENT),
]  # fmt: skip


async def main() -> None:
    """Print the figures."""
    schema: Any = strawberry.Schema(
        Query,
        subscription=Subscription,
        config=StrawberryConfig(name_converter=Names(), scalar_map=SCALARS),
    )
    rows = [await _measure(schema._schema, case) for case in CASES]
    print(table(rows))


async def _measure(schema: Any, case: Case) -> dict[str, Any]:
    document = parse(case.text)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    plan = compile_plan(schema, document, operation)
    assert plan is not None

    def stock() -> Any:
        executor = Executor.build(
            schema, document, case.root, {}, case.variables
        )  # coerces variables, as below
        assert not isinstance(executor, list)
        return executor.execute_operation()

    def planned() -> Any:
        values = get_variable_values(schema, operation.variable_definitions or (), case.variables)
        assert not isinstance(values, list)
        return plan.run(case.root, values, {})

    assert (await _done(stock())).data == (await _done(planned())).data
    found = [(await _ms(stock, case.runs), await _ms(planned, case.runs)) for _ in range(ROUNDS)]
    slow, fast = median(s for s, _ in found), median(p for _, p in found)
    return {
        "case": case.name,
        "graphql-core ms": round(slow, 4),
        "plan ms": round(fast, 4),
        "ratio": round(slow / fast, 1),
    }


async def _ms(run: Callable[[], Any], runs: int) -> float:
    started = time.perf_counter()
    for _ in range(runs):
        await _done(run())
    return (time.perf_counter() - started) * 1_000 / runs


async def _done(found: Awaitable[Any] | Any) -> Any:
    return await found if isawaitable(found) else found


if __name__ == "__main__":
    asyncio.run(main())
