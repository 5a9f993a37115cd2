"""However long a list is, the database is asked as often: counted for each list of the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from graphql import (
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from core.context import Context
from models.agents import Agent
from resolvers.provisioning import create_provisioning_key
from schema.root import schema
from tests.factories import make_agent
from tests.schema.asking import ask, record

FEW, MANY = 2, 20

Make = Callable[[Context, int], Awaitable[dict[str, Any]]]
"""Makes so many rows and returns the variables of the query."""


async def _agents(ctx: Context, number: int) -> dict[str, Any]:
    for at in range(number):
        agent = await make_agent(ctx, name=f"agent {at}")
        await _readings(ctx, agent, 1)
    return {}


async def _series(ctx: Context, number: int) -> dict[str, Any]:
    agent = await make_agent(ctx)
    await _readings(ctx, agent, number)
    return {"u": str(agent.uuid)}


async def _readings(ctx: Context, agent: Agent, series: int) -> None:
    now = ctx.clock.now()
    for at in range(series):
        times = [now - timedelta(seconds=second) for second in range(3)]
        await record(ctx, agent, f"metric {at}", [(time, 1.0) for time in times])


async def _keys(ctx: Context, number: int) -> dict[str, Any]:
    for _ in range(number):
        await create_provisioning_key(ctx)
    return {}


AGENT = """
  name latest { value source { device } } targetState { version } targetAppsCount
  currentState { version } currentAppsCount lastReportedAt metrics { cpuUsage }
"""
SERIES = "query($u: UUID!) { series(select: {agentUuids: [$u]}) { device values %s } }"

CASES: dict[str, tuple[Make, str]] = {
    "AgentConnection.nodes": (_agents, f"{{ agents {{ totalCount nodes {{ {AGENT} }} }} }}"),
    "AgentConnection.edges": (_agents, f"{{ agents {{ edges {{ cursor node {{ {AGENT} }} }} }} }}"),
    "AgentPage.nodes": (_agents, f"{{ agentPage(limit: 100) {{ nodes {{ {AGENT} }} }} }}"),
    "Agent.latest": (
        _series,
        "query($u: UUID!) { agent(uuid: $u) { latest { metric value source { device } } } }",
    ),
    "Query.series": (_series, SERIES % ""),
    "Series.points": (_series, SERIES % "points { time value }"),
    "History.series": (
        _series,
        "query($u: UUID!) { history(agentUuid: $u) { series { metric source { device } } } }",
    ),
    "ProvisioningKeyConnection.nodes": (_keys, "{ provisioningKeys { totalCount nodes { id } } }"),
    "ProvisioningKeyConnection.edges": (
        _keys,
        "{ provisioningKeys { edges { cursor node { id } } pageInfo { endCursor } } }",
    ),
}
"""For each field of the schema that is a list of objects: rows, and a query that shows it."""


def lists() -> Iterator[str]:
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                of_objects = is_composite_type(get_named_type(field.type))
                if of_objects and is_list_type(get_nullable_type(field.type)):
                    yield f"{type_.name}.{name}"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the statements of all connections of the process, whoever sends them."""
    sent: list[str] = []
    inner = asyncpg.Connection._do_execute

    async def noted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(str(query))
        return await inner(self, query, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "_do_execute", noted)
        yield sent


def test_each_list_of_the_schema_has_a_case() -> None:
    assert set(lists()) == set(CASES)


def _length(data: Any) -> int:
    """Return how long the longest list in an answer is."""
    if isinstance(data, dict):
        return max((_length(each) for each in data.values()), default=0)
    if isinstance(data, list):
        return max([len(data), *map(_length, data)])
    return 0


@pytest.mark.parametrize("name", CASES)
async def test_asks_as_often_for_many_rows_as_for_few(
    ctx: Context, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, text = CASES[name]
    found = []
    for number in (FEW, MANY):
        variables = await make(ctx, number)
        await ask(ctx, text, **variables)  # what is looked up once per process is known then
        with counted(monkeypatch) as sent:
            data = await ask(ctx, text, **variables)
        assert _length(data) >= number
        found.append(sent)
    few, many = found
    assert 0 < len(few) == len(many), (few, many)
