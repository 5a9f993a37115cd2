"""The plan at its corners: hand-written cases, each answered as graphql-core answers it."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
import strawberry
from graphql import parse

from core.errors import NotFound
from schema.execution.plan import compile_plan
from tests.schema.execution import toy
from tests.schema.execution.planned import check, core, operation, plan_of, planned, stock
from tests.schema.execution.toy import Colour, Later, Once, Raised, Streamed, Thing

BAD = ValueError("bad")


def numbered(*numbers: Any) -> list[Any]:
    return [Thing(number=number, text=str(number)) for number in numbers]


CASES: dict[str, tuple[str, Thing]] = {
    "a null in a list of objects that may not be null": (
        "{text children{number} after: text}",
        Thing(text="t", children=numbered(1, None, 3)),
    ),
    "nulls end at the nearest list that may hold them": (
        "{holes{number}}",
        Thing(holes=[*numbered(1, None, "x"), None, BAD, Later(Raised(BAD), 1)]),
    ),
    "two errors of which the first nulls the second's parent": (
        "{child{a: childRequired{number} slow number}}",
        Thing(child=Thing(child_required=Thing(number=None), slow=Raised(BAD), number=None)),
    ),
    "errors of awaited siblings": (
        "{a: slow slowChild{number} child{slow}}",
        Thing(slow="s", slow_child=Later(Thing(number=None), 2), child=Thing(slow=Raised(BAD))),
    ),
    "an awaited attribute that fails": (
        "{textOrNull text number}",
        Thing(text_or_null=Later(Raised(NotFound("thing", 1)), 1), text=Later("t", 2), number=1),
    ),
    "an iterable that breaks off": (
        "{words numbers holes{text}}",
        Thing(words=Once(["a", Later("b"), Raised(BAD), Later("c")]), numbers=Once([1]), holes=[]),
    ),
    "async iterables": (
        "{words holes{text} numbers}",
        Thing(
            words=Streamed(["a", None]), holes=Streamed(numbered(1)), numbers=Streamed([1, None])
        ),
    ),
    "what is no list": ("{words holes{text} grid}", Thing(words="abc", holes={}, grid=[[1], 2])),
    "numbers out of range": (
        "{a: numberOrNull realOrNull flag ident long}",
        Thing(
            number_or_null=2**31, real_or_null=float("nan"), flag="no", ident=1.5, long="twelve"
        ),
    ),
    "True is a number and 1 is none of the enum": (
        "{numberOrNull realOrNull colourOrNull colour}",
        Thing(number_or_null=True, real_or_null=True, colour_or_null=1, colour=Colour.ALSO_RED),
    ),
    "a text that equals a member's value": ("{colourOrNull}", Thing(colour_or_null="red")),
    "what an enum cannot hold": (
        "{colourOrNull colours}",
        Thing(colour_or_null=["red"], colours=[Colour.BLUE, "blue", {}]),
    ),
    "awaited fields of items that fail": (
        "{holes{slow} after: text}",
        Thing(holes=[Thing(slow=Raised(BAD)), Thing(slow="s")], text="t"),
    ),
    "a scalar that is awaitable when coerced": ("{json text}", Thing(json=[Later(1)], text="t")),
    "abstract types": (
        "{pet{...on Cat{number}text __typename} cat{number} pets{text}}",
        Thing(
            pet=Thing(is_cat=True, number=None, text="c"),
            cat=Thing(is_cat=False),
            pets=[Thing(text="d"), Thing(is_cat=True, text=None)],
        ),
    ),
    "fields merged over fragments": (
        "{child{text} ...F ... on Node{child{number}}} fragment F on Node{child{a: text number}}",
        Thing(child=Thing(text="t", number=3)),
    ),
    "introspection beside data": (
        '{__typename __schema{queryType{name}} __type(name: "Cat"){fields{name}} text}',
        Thing(text="t"),
    ),
    "what the resolver is told": (
        "{children{x: tell(filter: {numbers: 3}, tags: []) need(times: 1)}}",
        Thing(children=numbered(1, 2)),
    ),
    "loads that meet": (
        "{loaded a: loaded children{loaded} slowChild{loaded}}",
        Thing(loaded="a", slow_child=Thing(loaded="d"), children=[Thing(loaded="b"), Thing(loaded="bad")]),
    ),
    "a missing attribute": ("{textOrNull}", Thing()),
    "an error returned and one raised": ("{numberOrNull rooted}", Thing(number_or_null=BAD, rooted=Raised(BAD))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_a_corner_is_answered_as_by_graphql_core(case: str) -> None:
    text, root = CASES[case]
    plan = plan_of(text)
    await check(text, root, plan=plan)
    await check(text, root, plan=plan)  # nothing is left over from the first run


async def test_conditions_follow_the_variables_of_each_run() -> None:
    text = "query($x: Boolean!, $y: Boolean = true) {text @skip(if: $x) number @include(if: $y)}"
    plan, root = plan_of(text), Thing(text="t", number=1)
    found = [
        await check(text, root, {"x": x, "y": y}, plan)
        for x in (False, True)
        for y in (False, True)
    ]
    assert [set(each.data or ()) for each in found] == [
        {"text"},
        {"text", "number"},
        set(),
        {"number"},
    ]
    failed = await check(text, root, {"x": False, "y": None}, plan)
    assert failed.data is None


@pytest.mark.parametrize("variables", [{}, {"n": None}, {"n": 5, "s": None}, {"s": "s"}])
async def test_arguments_are_coerced_for_each_run(variables: dict[str, Any]) -> None:
    text = (
        "query($n: Int = 3, $s: String, $t: [String!]) {need(times: $n)"
        " tell(times: $n, text: $s, tags: $t)}"
    )
    plan = plan_of(text)
    await check(text, Thing(), {"n": 1, "s": "x", "t": ["y"]}, plan)
    await check(text, Thing(), variables, plan)


async def test_mutations_go_one_after_the_other() -> None:
    text = (
        'mutation {a: change(name: "one"){number} b: change(name: "two"){number}'
        ' c: replace(name: "three"){number} d: change(name: "one"){number}}'
    )
    one, two = Later(Thing(number=1), 3), Later(Thing(number=2))
    await check(text, Thing(one=one, two=two, three=Thing(number=3)))
    stopped = await check(text, Thing(one=one, two=Later(Raised(BAD)), three=Raised(BAD)))
    assert stopped.data is None


async def test_an_event_of_a_subscription_is_its_root_value() -> None:
    text = "subscription($size: Int! = 2) {c: changes(size: $size){number child{text} slow}}"
    plan = plan_of(text)
    await check(text, Thing(number=1, child=Thing(text="t"), slow="s"), plan=plan)
    await check(text, Thing(number=None, child=None, slow=Raised(BAD)), plan=plan)


async def test_a_resolver_wrapped_later_is_called() -> None:
    @strawberry.type
    class Query:
        plain: int

        @strawberry.field
        def made(self) -> int:
            return 1

    schema: Any = strawberry.Schema(Query)
    for field in core(schema).query_type.fields.values():  # type: ignore[union-attr]

        @wraps(field.resolve)
        def resolve(*_: Any, **__: Any) -> int:
            return 7

        field.resolve = resolve
    text = "{plain made}"
    found = await planned(plan_of(text, schema), Thing(plain=3), {}, {}, schema)
    assert found.data == {"plain": 7, "made": 7}
    assert found == await stock(text, Thing(plain=3), {}, {}, schema)


@pytest.mark.parametrize("text", ["{text @defer}", "{numbers @stream}", "query @other {text}"])
def test_what_the_plan_does_not_know_is_left_to_graphql_core(text: str) -> None:
    document = parse(text)
    assert compile_plan(core(toy.schema), document, operation(document)) is None


async def test_a_run_leaves_nothing_of_a_request_in_the_plan() -> None:
    text = "query($s: String) {tell(text: $s)}"
    plan = plan_of(text)
    await check(text, Thing(), {"s": "secret"}, plan)
    template = next(iter(plan._variants.values()))._template
    assert template.context_value is template.root_value is None
    assert template.variable_values.coerced == {}
