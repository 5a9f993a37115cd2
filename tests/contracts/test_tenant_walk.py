"""Tenant B walks over the whole API with every id of tenant A, and gets nothing of A.

B's owner, an API key of theirs with all scopes and a device of B ask for all that the schema has,
send every mutation and open every subscription. A's texts carry a mark; all its uuids and the
mark are searched for in each answer, and A's rows are compared before and after.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import is_required_argument

from core.access import Permission
from core.context import Context
from core.errors import Forbidden
from core.fence import ALL_TENANTS
from fleetgraph.app import the_catalog
from models import fence
from resolvers.agent_events import record_agent_event
from resolvers.device_logs import upload_logs
from rest_compat.endpoints import Endpoint
from schema.execution.engine import Engine
from schema.execution.permissions import Access
from schema.limits import Limits
from schema.root import schema
from tests.contracts import tenant_rows
from tests.contracts.documents import (
    GRAPH,
    admits,
    everything,
    field_of,
    id_arguments,
    is_of_lists,
    operation,
    permissions_of,
    root_fields,
)
from tests.contracts.field_cases import FIELDS, MORE, Arguments
from tests.contracts.requests_of import FIELDS_FILE, request_of, route_of
from tests.contracts.serving import Api
from tests.contracts.walk_exceptions import ALLOWED, NAMELESS
from tests.contracts.world_of_two import Tenancy, Visitor, another_tenant, furnish
from tests.schema.asking import answer, as_agent, follow, record

pytestmark = pytest.mark.slow

ENGINE = Engine(schema, Limits(cost_max=10**9, agent_cost_max=10**9, depth_max=50))

SELECTING = {"select", "filter"}
"""Arguments that pick what there is: of another tenant there is nothing."""

INSTALLATIONS = {"Query.tenants"}
"""Lists that only owners of the first tenant may see."""


@dataclass(frozen=True)
class World:
    """Tenant A, tenant B, who comes from B, and whatever must not be seen of A."""

    a: Tenancy
    b: Tenancy
    visitors: Sequence[Visitor]
    secrets: frozenset[str]
    rows: Mapping[str, str]

    def seen(self, said: str, asked: str) -> set[str]:
        """Return what of A is in an answer and was not in the question."""
        return {text for text in self.secrets if text in said and text not in asked}

    async def changed(self) -> list[str]:
        """Return the tables in which A's rows are not as they were."""
        now = await tenant_rows.digests(self.a.ctx.tenant_id)
        return sorted(name for name in now if now[name] != self.rows[name])


@pytest.fixture
async def world(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> World:
    # Row-level security would hide what a query forgets: the first fence is to hold by itself.
    monkeypatch.setattr(fence, "fenced_tenant", ContextVar("open", default=ALL_TENANTS))
    a = await furnish(ctx, "A")
    b = await furnish(await another_tenant(ctx), "B")
    assert await tenant_rows.empty_tables(a.ctx.tenant_id) == []
    secrets = frozenset({a.mark, *await tenant_rows.uuids(a.ctx.tenant_id)})
    return World(a, b, await b.walkers(), secrets, await tenant_rows.digests(a.ctx.tenant_id))


def cases(name: str) -> list[Arguments]:
    return [FIELDS[name], *MORE.get(name, [])]


async def test_each_argument_that_is_an_id_is_tried_with_one_of_another_tenant(
    world: World,
) -> None:
    missing = []
    for name in root_fields():
        tried: set[str] = set()
        for case in cases(name):
            tried |= set(_paths(case(world.a, world.b), world.secrets))
        missing += [f"{name}({path})" for path in id_arguments(name) if path not in tried]
    assert not missing, f"give these an id of `it` in {FIELDS_FILE}: {missing}"


@pytest.mark.slow
async def test_no_query_and_no_mutation_reaches_another_tenant(world: World) -> None:
    wrong: list[str] = []
    for name in root_fields("Query", "Mutation"):
        for visitor in world.visitors:
            if admits(name, visitor.caller):
                for case in cases(name):
                    wrong += await _tried(world, visitor, name, case(world.a, world.b))
    assert not wrong, "\n".join(wrong)


async def _tried(
    world: World, visitor: Visitor, name: str, arguments: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with the answer."""
    text = operation([name], arguments, everything(name, visitor.caller))
    is_change = name.startswith("Mutation.")
    async with tenant_rows.undone() if is_change else nullcontext():
        found = await answer(world.b.ctx.acting_as(visitor.caller), text, arguments, ENGINE)
        changed = await world.changed()
    said, asked = json.dumps(found.body(), default=str), json.dumps(arguments)
    wrong = [f"shows {each}" for each in world.seen(said, asked)]
    wrong += [f"changes {table}" for table in changed]
    codes = {str((error.extensions or {}).get("code")) for error in found.errors}
    if codes & {"INTERNAL", "INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED"} and name not in ALLOWED:
        wrong.append("does not work")
    if _named(arguments, world.secrets) and not _is_refusal(name, codes):
        wrong.append("is not refused")
    return [f"{name} {arguments} as {visitor.name} {each}: {said[:500]}" for each in wrong]


def _named(arguments: Mapping[str, Any], wanted: frozenset[str]) -> list[str]:
    """Return the arguments that name one thing; one that selects may find nothing."""
    return [path for path in _paths(arguments, wanted) if path.split(".")[0] not in SELECTING]


def _is_refusal(name: str, codes: set[str]) -> bool:
    if name in ALLOWED or "NOT_FOUND" in codes:
        return True
    if is_of_lists(name):
        return True  # an empty list, as nothing of A is seen in it
    return Permission.PUBLIC in permissions_of(name) and "UNAUTHENTICATED" in codes


async def test_a_cursor_of_another_tenant_shows_nothing_of_it(world: World) -> None:
    owner = world.visitors[0]
    wrong = []
    for name in root_fields("Query"):
        if "after" not in field_of(name).args:
            continue
        own = FIELDS[name](world.a, world.a) | {"first": 1}
        page = await answer(
            world.a.ctx, operation([name], own, "{ pageInfo { endCursor } }"), own, ENGINE
        )
        if page.data is None:
            assert name in INSTALLATIONS, page.errors
            continue
        cursor = page.data[name.partition(".")[2]]["pageInfo"]["endCursor"]
        assert cursor, f"{name} shows nothing to its own tenant"
        mine = FIELDS[name](world.b, world.b) | {"first": 100, "after": cursor}
        wrong += await _tried(world, owner, name, mine)
    assert not wrong, "\n".join(wrong)


async def test_no_route_reaches_another_tenant(world: World) -> None:
    api, wrong = Api(world.b.ctx), []
    endpoints = [each for each in the_catalog().endpoints if "{" in each.path]
    for endpoint in endpoints:
        for visitor in world.visitors:
            request = request_of(endpoint, world.a, world.b)
            asked = str(request)
            request["headers"] = {**visitor.headers, **request["headers"]}
            is_change = endpoint.method != "GET"
            async with (
                tenant_rows.undone() if is_change else nullcontext(),
                api.client() as client,
            ):
                response = await client.request(**request)
                changed = await world.changed()
            who = f"{route_of(endpoint)} as {visitor.name}"
            wrong += [f"{who} shows {each}" for each in world.seen(response.text, asked)]
            wrong += [f"{who} changes {table}" for table in changed]
            names_a = any(text in asked for text in world.secrets)
            if names_a and response.status_code not in _refusals(endpoint, visitor):
                wrong.append(f"{who} answers {response.status_code}: {response.text}")
    assert not wrong, "\n".join(wrong)


def _refusals(endpoint: Endpoint, visitor: Visitor) -> set[int]:
    """Return the statuses that turn the visitor away: 404, unless it may not come here at all."""
    access = Access.to(GRAPH, endpoint.document, endpoint.operation)
    try:
        access.check(visitor.caller)
    except Forbidden:
        return {401, 403}
    is_public = any(Permission.PUBLIC in wanted for wanted in access.required.values())
    return {401, 404} if is_public else {404}


async def test_no_subscription_tells_of_another_tenant(world: World) -> None:
    async with AsyncExitStack() as open_:
        heard = [
            await open_.enter_async_context(_listening(world, visitor, name, arguments))
            for name in root_fields("Subscription")
            for visitor in world.visitors
            if admits(name, visitor.caller)
            for arguments in _own_and_all(world, name)
        ]
        await _change_everything(world.a)
        before = [each.count(world.b.mark) for each in heard]
        await _give_signs(world.b)
        async with asyncio.timeout(20):
            for each, count in zip(heard, before, strict=True):
                if each.name not in NAMELESS:
                    await each.until_more_than(count, world.b.mark)
    wrong = [f"{each.who}: {each.text}" for each in heard if world.seen(each.text, "")]
    assert {each.name for each in heard if not each.is_refused} == {*root_fields("Subscription")}
    assert not wrong, "\n".join(wrong)


def _own_and_all(world: World, name: str) -> list[dict[str, Any]]:
    """Return what B may ask of a subscription: about a thing of its own, and about all it has."""
    is_free = not any(is_required_argument(each) for each in field_of(name).args.values())
    return [FIELDS[name](world.b, world.b)] + ([{}] if is_free else [])


async def test_no_subscription_takes_an_id_of_another_tenant(world: World) -> None:
    for name in root_fields("Subscription"):
        for visitor in world.visitors:
            for case in cases(name):
                arguments = case(world.a, world.b)
                if admits(name, visitor.caller) and _named(arguments, world.secrets):
                    await _refused_at_once(world, visitor, name, arguments)


async def _refused_at_once(
    world: World, visitor: Visitor, name: str, arguments: Mapping[str, Any]
) -> None:
    text = operation([name], arguments, everything(name, visitor.caller))
    ctx = world.b.ctx.acting_as(visitor.caller)
    async with asyncio.timeout(5), follow(ctx, text, **arguments) as answers:
        (refused,) = [each async for each in answers]
    said = json.dumps(refused.body(), default=str)
    assert '"NOT_FOUND"' in said, (name, visitor.name, said)
    assert not world.seen(said, json.dumps(arguments))


class Heard:
    """What a subscription has told so far."""

    def __init__(self, name: str, who: str) -> None:
        self.name = name
        self.who = who
        self.text = ""
        self.is_refused = False
        self.is_over = False
        self._grew = asyncio.Event()

    def count(self, mark: str) -> int:
        return self.text.count(mark)

    def add(self, body: Mapping[str, Any]) -> None:
        self.text += json.dumps(body, default=str)
        self.is_refused = "errors" in body
        self._grew.set()

    def end(self) -> None:
        self.is_over = True
        self._grew.set()

    async def until_more_than(self, count: int, mark: str) -> None:
        while self.count(mark) <= count and not self.is_over:
            self._grew.clear()
            try:
                await self._grew.wait()
            except asyncio.CancelledError:
                raise AssertionError(f"{self.who} has not heard of its own: {self.text}") from None


@asynccontextmanager
async def _listening(
    world: World, visitor: Visitor, name: str, arguments: Mapping[str, Any]
) -> AsyncIterator[Heard]:
    heard = Heard(name, f"{name} {arguments} as {visitor.name}")
    text = operation([name], arguments, everything(name, visitor.caller))
    ctx = world.b.ctx.acting_as(visitor.caller)
    opened = asyncio.Event()

    async def listen() -> None:
        async with follow(ctx, text, **arguments) as answers:
            opened.set()
            async for each in answers:
                heard.add(each.body())
        heard.end()

    task = asyncio.create_task(listen())
    await opened.wait()
    try:
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _change_everything(it: Tenancy) -> None:
    """Do whatever can be done in a tenant, for good: every mutation of the schema."""
    await _give_signs(it)
    for visitor in await it.walkers():
        for name in root_fields("Mutation"):
            if admits(name, visitor.caller):
                arguments = FIELDS[name](it, it)
                text = operation([name], arguments)
                await answer(it.ctx.acting_as(visitor.caller), text, arguments, ENGINE)


async def _give_signs(it: Tenancy) -> None:
    """Let each subscription of the tenant have something to tell."""
    arguments = FIELDS["Mutation.setTargetState"](it, it)
    text = operation(["Mutation.setTargetState"], arguments)
    assert not (await answer(it.ctx, text, arguments, ENGINE)).errors
    told = {"type": "update_overdue", "reason": it.mark, "msgId": it.ctx.ids.secret(8)}
    own = as_agent(it.ctx, it.agent)
    await record_agent_event(own, "agent/status", json.dumps(told).encode(), retained=False)
    line = json.dumps({"message": f"sign {it.mark}"}).encode()
    await upload_logs(own, it.agent.uuid, None, line)
    await record(it.ctx, it.agent, f"sign {it.mark}", [(it.ctx.clock.now(), 1.0)], device=it.mark)


def _paths(value: object, wanted: frozenset[str], path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which one of the texts stands."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _paths(each, wanted, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each, wanted, path)
    elif str(value) in wanted:
        yield path
