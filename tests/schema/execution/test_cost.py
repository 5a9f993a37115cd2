from __future__ import annotations

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from core.callers import Role
from core.context import Context
from schema.directives import ListSize, directives_of
from schema.execution.cost import evaluate
from schema.execution.documents import Documents
from schema.execution.engine import Engine
from schema.limits import Limits
from schema.root import schema
from tests.schema.asking import answer, as_nobody, as_role

UUID_0 = "00000000-0000-0000-0000-000000000000"
DOCUMENTS = Documents(schema._schema, Limits())


def cost(text: str, **variables: object) -> int:
    formula = DOCUMENTS.prepare(text).cost
    assert formula is not None
    return evaluate(formula, variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ me { id } }", 2),
        ("{ me { id } me { id } }", 4),
        ("{ __schema { types { name fields { name } } } }", 1),
        ("{ agents { totalCount } }", 2),
        ("{ agents { nodes { name } } }", 1 + 1 + 50 * 1),
        ("{ agents(first: 7) { nodes { name uuid } edges { node { name } } } }", 1 + 15 + 15),
        ("{ agentPage(limit: 3) { nodes { name } pagination { total } } }", 1 + 4 + 2),
        ("{ agents(first: 2) { nodes { latest { value time } } } }", 1 + 1 + 2 * (1 + 20 * 2)),
        ("{ series(select: {}) { metric } }", 1 + 10),
        ("{ series(select: {}) { values } }", 1 + 10 * (1 + 50)),
        ("{ series(select: {}) { points { time } } }", 1 + 10 * (1 + 1_000)),
        (f'{{ history(agentUuid: "{UUID_0}") {{ series {{ times }} }} }}', 2 + 20 * (1 + 10)),
        (
            f'{{ history(agentUuid: "{UUID_0}", limit: 10000) {{ series {{ times values }} }} }}',
            2 + 20 * 2 * (1 + 100),
        ),
        (
            "{ series(select: {}, maxPoints: 5000) { values points { time } } }",
            1 + 10 * (51 + 5001),
        ),
        ("{ ...A ...A } fragment A on Query { me { ... { id ...B } } } fragment B on Me { id }", 6),
        ("{ me { id @skip(if: true) } }", 2),
        ("{ agents(first: -5) { nodes { name } } }", 2),
    ],
)
def test_counts_fields_times_the_lists_around_them(text: str, expected: int) -> None:
    assert cost(text) == expected


def test_counts_with_the_variables_of_the_request() -> None:
    text = "query($n: Int = 50) { agents(first: $n) { nodes { name latest { value } } } }"
    assert cost(text, n=10) == 2 + 10 * 22
    assert cost(text) == 2 + 50 * 22
    assert cost(text, n=None) == 2 + 50 * 22
    assert cost(text, n=-1) == 2
    series = "query($p: Int) { series(select: {}, maxPoints: $p) { values timestamps } }"
    assert cost(series, p=20_000) == 1 + 10 * 2 * 201


async def test_refuses_what_is_over_the_callers_budget(ctx: Context) -> None:
    text = "query($n: Int!) { agents(first: $n) { nodes { name latest { value time } } } }"
    found = await answer(ctx, text, {"n": 50})
    assert found.extensions == {"cost": {"requested": 2_102, "budget": 50_000}}
    engine = Engine(schema, Limits(cost_max=2_000))
    refused = await answer(ctx, text, {"n": 50}, engine)
    assert not refused.is_executed
    (error,) = refused.errors
    assert error.extensions == {"code": "LIMIT_REACHED", "cost": 2_102, "budget": 2_000}
    assert "costs 2102; the budget is 2000" in error.message
    assert (await answer(ctx, text, {"n": 10}, engine)).is_executed


async def test_agents_and_nobody_have_smaller_budgets(ctx: Context) -> None:
    text = 'mutation { login(username: "a", password: "b") { accessToken } }'
    for role, budget in ((Role.AGENT, 1_000), (Role.OWNER, 50_000)):
        found = await answer(as_role(ctx, role), text)
        assert found.extensions["cost"] == {"requested": 2, "budget": budget}
    assert (await answer(as_nobody(ctx), text)).extensions["cost"]["budget"] == 100
    many = "mutation {" + " ".join(
        f'a{n}: login(username: "a", password: "b") {{ user {{ {"id " * 10} }} }}' for n in range(9)
    )
    refused = await answer(as_nobody(ctx), many + "}")
    assert refused.errors[0].extensions == {"code": "LIMIT_REACHED", "cost": 108, "budget": 100}


# The schema ---------------------------------------------------------------------------------


def fields() -> Iterator[tuple[str, GraphQLField]]:
    for type_ in schema._schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field


def test_each_list_of_objects_says_how_long_it_is() -> None:
    sized = set()
    for name, field in fields():
        for hint in directives_of(field, ListSize):
            below = get_named_type(field.type).name
            sized |= {f"{below}.{each}" for each in hint.fields or ()} or {name}
    lists = {
        name
        for name, field in fields()
        if is_list_type(get_nullable_type(field.type))
        and is_composite_type(get_named_type(field.type))
    }
    assert lists <= sized


def _leads(known: dict[str, GraphQLField], parent: str, path: str) -> bool:
    """Whether a dotted path from a type ends at a field."""
    name, _, rest = path.partition(".")
    field = known.get(f"{parent}.{name}")
    if field is None or not rest:
        return field is not None
    return _leads(known, get_named_type(field.type).name, rest)


def test_what_hints_name_exists_and_agrees_with_defaults() -> None:
    known = dict(fields())
    for name, field in known.items():
        for hint in directives_of(field, ListSize):
            below = get_named_type(field.type).name
            assert [path for path in hint.fields or () if not _leads(known, below, path)] == []
            if hint.argument:
                default = field.args[hint.argument].default
                value = getattr(default, "value", None)
                assert value in {None, hint.assumed}, f"{name}({hint.argument}:)"
