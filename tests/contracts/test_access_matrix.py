"""Who gets through where: every REST route and every guarded GraphQL field, called by everybody.

The calls go over HTTP with real credentials; what each comes to stands in two files beside this
one. `ok` is any outcome but 401, 403 and 404. The column `foreign` is another tenant's owner who
names this tenant's things: `404`, or `own` when the answer holds nothing of this tenant. The
last column has the scopes with which an API key of the owner gets through, each by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.access import SCOPES, holds
from core.broker_figures import BrokerFigures
from core.callers import Role, system_caller
from core.clock import SystemClock
from core.context import Context
from core.ids import RandomIds
from fleetgraph.app import the_catalog
from models.connection import fetch
from resolvers.broker_view import record_broker
from rest_compat.endpoints import Endpoint
from schema.execution.permissions import Access
from tests.contracts.documents import (
    GRAPH,
    ROOTS,
    admits,
    guarded_fields,
    operation,
    root_fields,
    way_to,
)
from tests.contracts.field_cases import FIELDS
from tests.contracts.requests_of import FIELDS_FILE, field_name, fields_behind, request_of, route_of
from tests.contracts.serving import Api
from tests.contracts.tenant_rows import undone, uuids
from tests.contracts.world_of_two import PEOPLE, Tenancy, Visitor, another_tenant, furnish
from tests.doubles import ManualClock
from tests.factories import make_tenant
from tests.schema.asking import follow

HERE = Path(__file__).parent
COLUMNS = ("nobody", "device", *PEOPLE, "foreign")
REFUSED = {"401", "403"}
_BY_CODE = {"UNAUTHENTICATED": "401", "FORBIDDEN": "403", "NOT_FOUND": "404"}
_FIRST_ANSWER_SECONDS = 0.2

_KEYS_REACH = "an API key touches nobody, and gives no role, that may do more than the key"
_INSTALLATION = "only owners of the first tenant may, and this one is another"
STRICTER: dict[str, str] = {
    "Mutation.createUser": _KEYS_REACH,
    "Mutation.updateUser": _KEYS_REACH,
    "Mutation.deleteUser": _KEYS_REACH,
    "Mutation.revokeSession": _KEYS_REACH,
    "Mutation.signOutUser": _KEYS_REACH,
    "Mutation.createInvitation": _KEYS_REACH,
    "Mutation.revokeInvitation": _KEYS_REACH,
    "Mutation.createTenant": _INSTALLATION,
    "Query.tenants": _INSTALLATION,
}
"""Fields that refuse some whom the role table lets in, and why. The files show whom."""


@dataclass(frozen=True)
class Outcome:
    """What a call came to, what was said, and what had been asked."""

    word: str
    said: str
    asked: str
    is_clean: bool


@dataclass(frozen=True)
class World:
    """Two tenants, everybody of the first, the owner of the second, and all that is the first's."""

    api: Api
    client: httpx.AsyncClient
    a: Tenancy
    b: Tenancy
    visitors: Sequence[Visitor]
    foreign: Visitor
    texts: frozenset[str]


@pytest.fixture
async def another_came_first(rows: None) -> None:
    """The first tenant's owner may do more, and which one is first depends on other tests."""
    await make_tenant(SystemClock(), RandomIds())


@pytest.fixture
async def world(another_came_first: None, ctx: Context) -> AsyncIterator[World]:
    a = await furnish(ctx, "A")
    b = await furnish(await another_tenant(ctx), "B")
    foreign = next(each for each in await b.visitors() if each.name == Role.OWNER)
    known = frozenset({a.mark, *await uuids(a.ctx.tenant_id)})
    api = Api(ctx)
    ahead = replace(ctx, clock=ManualClock(ctx.clock.now() + timedelta(hours=1)))
    # A broker that told of itself a moment ago, however long the visits take.
    await record_broker(ahead.acting_as(system_caller(0)), BrokerFigures(version="one"))
    async with api.client() as client:
        yield World(api, client, a, b, await a.visitors(), foreign, known)
    await fetch("delete from broker_status")


def test_each_root_field_has_a_case() -> None:
    missing = sorted(set(root_fields()) - set(FIELDS))
    assert not missing, f"give arguments for {missing} in {FIELDS_FILE}"
    gone = sorted(set(FIELDS) - set(root_fields()))
    assert not gone, f"{gone} are no fields any more: {FIELDS_FILE}"


@pytest.mark.slow
@pytest.mark.golden
async def test_the_matrix_of_fields_is_the_one_that_was_agreed(world: World) -> None:
    roots = [sorted(root_fields(root)) for root in ROOTS]
    names = [*chain.from_iterable(roots), *sorted(guarded_fields())]

    async def call(name: str, visitor: Visitor, me: Tenancy) -> Outcome:
        way = way_to(name)
        arguments = FIELDS[way[0]](world.a, me)
        text = operation(way, arguments)
        if name.startswith("Subscription."):
            return await _opened(world.api, visitor, text, arguments)
        is_change = way[0].startswith("Mutation.") and is_for(name, visitor)
        async with undone() if is_change else nullcontext():
            return await _asked(world.client, visitor, text, arguments)

    def is_for(name: str, visitor: Visitor) -> bool:
        return all(admits(each, visitor.caller) for each in way_to(name))

    await _judge(world, names, call, is_for, STRICTER, "access_matrix_graphql.txt")


@pytest.mark.slow
@pytest.mark.golden
async def test_the_matrix_of_routes_is_the_one_that_was_agreed(world: World) -> None:
    endpoints = {route_of(each): each for each in sorted(the_catalog().endpoints, key=_place)}

    async def call(route: str, visitor: Visitor, me: Tenancy) -> Outcome:
        request = request_of(endpoints[route], world.a, me)
        asked = str(request)
        request["headers"] = {**visitor.headers, **request["headers"]}
        is_change = endpoints[route].method != "GET" and is_for(route, visitor)
        async with undone() if is_change else nullcontext():
            response = await world.client.request(**request)
        status = response.status_code
        assert status != httpx.codes.INTERNAL_SERVER_ERROR, (route, visitor.name, response.text)
        word = str(status) if status in {401, 403, 404} else "ok"
        return Outcome(word, response.text, asked, response.is_success)

    def is_for(route: str, visitor: Visitor) -> bool:
        endpoint = endpoints[route]
        access = Access.to(GRAPH, endpoint.document, endpoint.operation)
        return all(
            any(holds(visitor.caller, permission) for permission in wanted)
            for wanted in access.required.values()
        )

    excused = {
        route
        for route, endpoint in endpoints.items()
        if any(field_name(endpoint, node) in STRICTER for node in fields_behind(endpoint))
    }
    await _judge(world, endpoints, call, is_for, excused, "access_matrix_rest.txt")


Call = Callable[[str, Visitor, Tenancy], Awaitable[Outcome]]


async def _judge(
    world: World,
    names: Iterable[str],
    call: Call,
    is_for: Callable[[str, Visitor], bool],
    excused: Container[str],
    golden: str,
) -> None:
    table: dict[str, dict[str, str]] = {}
    for name in names:
        row: dict[str, Outcome] = {}
        for visitor in world.visitors:
            row[visitor.name] = await call(name, visitor, world.a)
        row["foreign"] = _foreign(world, await call(name, world.foreign, world.b))
        is_shut = name in excused and all(each.word in REFUSED for each in row.values())
        assert is_shut or any(each.is_clean for each in row.values()), (
            f"{name} works for nobody: mend its case in {FIELDS_FILE}: "
            f"{ {each.said for each in row.values()} }"
        )
        told = {each.name: row[each.name] for each in world.visitors}
        meant = {each.name for each in world.visitors if is_for(name, each)}
        let_in = {who for who, outcome in told.items() if outcome.word not in REFUSED}
        assert let_in <= meant, f"{name} lets in {let_in - meant}, whom the role table refuses"
        shut_out = [f"{who}: {told[who].said}" for who in sorted(meant - let_in)]
        assert not shut_out or name in excused, (
            f"{name} refuses whom the role table lets in: {shut_out}"
        )
        table[name] = {visitor: outcome.word for visitor, outcome in row.items()}
    text = _printed(table)
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        (HERE / golden).write_text(text)
    assert text == (HERE / golden).read_text(), "run `make golden` and read the diff"


def _foreign(world: World, outcome: Outcome) -> Outcome:
    told = {text for text in world.texts if text in outcome.said and text not in outcome.asked}
    assert not told, f"another tenant is told {told}: {outcome.said}"
    return replace(outcome, word="own") if outcome.word == "ok" else outcome


def _printed(table: Mapping[str, Mapping[str, str]]) -> str:
    width = max(map(len, table))
    lines = [" ".join(["".ljust(width), *COLUMNS, "scopes that suffice alone"])]
    for name, row in table.items():
        cells = [row[column].ljust(len(column)) for column in COLUMNS]
        lines.append(" ".join([name.ljust(width), *cells, _scopes(row)]))
    return "\n".join(lines) + "\n"


def _scopes(row: Mapping[str, str]) -> str:
    through = [scope for scope in SCOPES if row[scope] not in REFUSED]
    return "all" if len(through) == len(SCOPES) else " ".join(through) or "none"


async def _asked(
    client: httpx.AsyncClient, visitor: Visitor, text: str, variables: Mapping[str, Any]
) -> Outcome:
    """Ask over HTTP."""
    request = {"query": text, "variables": variables}
    response = await client.post("/graphql", json=request, headers=visitor.headers)
    body = response.json()
    return _outcome(body, response.text, str(variables))


async def _opened(api: Api, visitor: Visitor, text: str, variables: Mapping[str, Any]) -> Outcome:
    """Subscribe and wait a little: what is refused is refused in the first answer."""
    ctx = api.context(visitor.caller, "-", "")
    async with follow(ctx, text, **variables) as answers:
        try:
            async with asyncio.timeout(_FIRST_ANSWER_SECONDS):
                first = await anext(aiter(answers))
        except TimeoutError:
            return Outcome("ok", "", "", is_clean=True)
    body = first.body()
    return _outcome(body, str(body), str(variables))


def _outcome(body: Mapping[str, Any], said: str, asked: str) -> Outcome:
    codes = [each["extensions"]["code"] for each in body.get("errors", ())]
    assert "INTERNAL" not in codes, said
    word = next((_BY_CODE[code] for code in codes if code in _BY_CODE), "ok")
    return Outcome(word, said, asked, not codes)


def _place(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.path, endpoint.method
