from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import strawberry

from core.context import Context
from core.errors import NotFound
from models.target_states import TargetState
from schema.context import GraphQLContext, Info
from schema.execution.engine import Engine
from schema.execution.requests import GraphQLRequest, Refused
from schema.limits import Limits
from schema.root import FleetSchema, schema
from tests.factories import make_agent
from tests.schema.asking import answer, ask


class Happenings(list[str]):
    """What came to pass in resolvers."""


happened = Happenings()


@strawberry.type
class Thing:
    name: str

    @strawberry.field
    async def awaited(self) -> str:
        if self.name == "a":
            await asyncio.Event().wait()
        return self.name

    @strawberry.field
    def broken(self) -> str:
        raise RuntimeError("the secret of the house")


@strawberry.type
class Query:
    @strawberry.field
    async def forever(self) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            happened.append("cancelled")
            raise
        return 1

    @strawberry.field
    def at_once(self) -> int:
        return 1

    @strawberry.field
    def thing(self) -> Thing:
        return Thing(name="a")

    @strawberry.field
    async def impatient(self) -> int:
        raise TimeoutError("the secret of the house")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def things(self, info: Info, fail: str = "") -> AsyncIterator[Thing]:
        if fail == "opening":
            raise NotFound("thing", 1)
        yield Thing(name="a")
        if fail == "going":
            raise RuntimeError("the secret of the house")
        if fail == "late":
            yield Thing(name="b")

    @strawberry.subscription
    async def never(self) -> AsyncIterator[Thing]:
        await asyncio.Event().wait()
        raise AssertionError


TOY = FleetSchema(query=Query, subscription=Subscription)


def engine(**limits: Any) -> Engine:
    return Engine(TOY, Limits(**limits))


async def following(ctx: Context, text: str) -> list[dict[str, Any]]:
    toy, context = engine(seconds_max=0.01), GraphQLContext(ctx)
    prepared = toy.prepare(GraphQLRequest(text), context)
    opened = await toy.subscribe(prepared, None, context)
    return [each.body() async for each in opened.answers()]


async def test_an_operation_ends_at_its_time_limit_and_its_work_with_it(ctx: Context) -> None:
    happened.clear()
    async with asyncio.timeout(5):
        found = await answer(ctx, "{ atOnce forever }", engine=engine(seconds_max=0.05))
    assert found.body() == {
        "errors": [
            {
                "message": "This operation took longer than 0.05 s and was ended",
                "locations": [{"line": 1, "column": 1}],
                "extensions": {"code": "UNAVAILABLE", "limit_seconds": 0.05},
            }
        ],
        "data": None,
        "extensions": {"cost": {"requested": 2, "budget": 50_000}},
    }
    assert happened == ["cancelled"]


async def test_an_event_and_an_opening_end_at_the_time_limit_too(ctx: Context) -> None:
    async with asyncio.timeout(5):
        late, next_ = await following(ctx, 'subscription { things(fail: "late") { awaited } }')
        with pytest.raises(Refused) as refused:
            await following(ctx, "subscription { never { name } }")
    assert late["data"] is None
    assert next_ == {"data": {"things": {"awaited": "b"}}}
    (never,) = refused.value.answer.body()["errors"]
    codes = [each["extensions"]["code"] for each in (*late["errors"], never)]
    assert codes == ["UNAVAILABLE", "UNAVAILABLE"]


async def test_what_a_resolver_waits_for_in_vain_is_no_time_limit(ctx: Context) -> None:
    found = await answer(ctx, "{ impatient }", engine=engine())
    assert found.body()["errors"][0]["extensions"] == {"code": "INTERNAL", "requestId": "test"}


async def test_a_mutation_that_is_ended_has_changed_nothing(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await make_agent(ctx)
    text = (
        """mutation($u: UUID!, $a: JSON!) { setTargetState(agentUuid: $u, apps: $a) { version } }"""
    )
    variables = {"u": str(agent.uuid), "a": {"1": {}}}
    save = TargetState.save

    async def save_and_hang(*args: Any, **kwargs: Any) -> None:
        await save(*args, **kwargs)
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(TargetState, "save", save_and_hang)
        found = await answer(ctx, text, variables, Engine(schema, Limits(seconds_max=0.3)))
    assert found.body()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    read = "query($u: UUID!) { targetState(agentUuid: $u) { version } }"
    assert (await ask(ctx, read, u=str(agent.uuid)))["targetState"] == {"version": 1}
    assert (await ask(ctx, text, **variables))["setTargetState"] == {"version": 2}


async def test_unexpected_errors_are_masked_on_every_way_out(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    masked = {"code": "INTERNAL", "requestId": "test"}
    run = (await answer(ctx, "{ thing { broken } }", engine=engine())).body()
    resolved = await following(ctx, "subscription { things { broken } }")
    ended = await following(ctx, 'subscription { things(fail: "going") { name } }')
    assert [body["errors"][0]["extensions"] for body in (run, resolved[0], ended[1])] == [
        masked
    ] * 3
    assert ended[0] == {"data": {"things": {"name": "a"}}}
    assert "secret" not in str([run, resolved, ended])
    logged = [each for each in caplog.records if each.name == "fleetgraph.graphql"]
    assert len(logged) == 3
    assert all(each.levelno == logging.ERROR and each.exc_info for each in logged)


async def test_an_expected_error_of_a_source_is_told(ctx: Context) -> None:
    (only,) = await following(ctx, 'subscription { things(fail: "opening") { name } }')
    assert only["errors"][0]["message"] == "thing 1 not found"


async def test_the_answer_says_what_it_cost(ctx: Context) -> None:
    found = await answer(ctx, "{ atOnce }", engine=engine())
    assert found.body() == {
        "data": {"atOnce": 1},
        "extensions": {"cost": {"requested": 1, "budget": 50_000}},
    }
    toy, context = engine(cost_max=100), GraphQLContext(ctx)
    document = toy.prepare(GraphQLRequest("{ atOnce }"), context).document
    own = await toy.run(toy.prepare_document(document), None, context)
    assert own.body() == {"data": {"atOnce": 1}}


async def test_stock_execution_of_the_schema_still_works(ctx: Context) -> None:
    found = await schema.execute("{ __typename }", context_value=GraphQLContext(ctx))
    assert found.data == {"__typename": "Query"}
