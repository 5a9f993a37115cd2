from __future__ import annotations

from dataclasses import fields

import pytest
from graphql import GraphQLError, get_introspection_query, parse

from core.callers import Role
from core.context import Context
from fleetgraph.setting_sections import GraphqlSettings
from schema.limits import FRAGMENTS_MAX, OPERATIONS_MAX, Limits, too_large
from tests.schema.asking import ask, refusal

LIMITS = Limits()


def problems(text: str, limits: Limits = LIMITS) -> list[GraphQLError]:
    return too_large(parse(text), limits)


def test_limits_are_by_default_what_settings_say() -> None:
    settings = GraphqlSettings()
    names = {"seconds_max": "operation_seconds_max"}
    for field in fields(Limits):
        assert getattr(LIMITS, field.name) == getattr(settings, names.get(field.name, field.name))


async def test_lets_the_standard_introspection_query_through(ctx: Context) -> None:
    assert (await ask(ctx, get_introspection_query()))["__schema"]["queryType"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "{" + " ".join(f"a{n}: me {{ id }}" for n in range(LIMITS.root_fields_max + 1)) + "}",
            "root",
        ),
        (
            "{ me {" + " ".join(f"a{n}: id" for n in range(LIMITS.aliases_max + 1)) + "} }",
            "aliases",
        ),
        ("{ me {" + "id " * LIMITS.fields_max + "} }", "fields"),
        ("{ __schema {" + "__typename " * LIMITS.fields_max + "} }", "fields"),
    ],
)
async def test_refuses_what_is_too_large(ctx: Context, text: str, what: str) -> None:
    error = await refusal(ctx, text)
    assert what in error["message"]
    assert error["extensions"] == {"code": "INVALID_INPUT"}


@pytest.mark.parametrize(("levels", "refused"), [(LIMITS.depth_max, 0), (LIMITS.depth_max + 1, 1)])
def test_refuses_what_is_too_deep(levels: int, refused: int) -> None:
    assert len(problems("{ a " * levels + "}" * levels)) == refused


def test_counts_fields_at_the_root_through_fragments() -> None:
    limits = Limits(root_fields_max=3)
    text = "{ ...A ...A } fragment A on Query { ... { x y } }"
    (error,) = problems(text, limits)
    assert error.message == "This operation has 4 fields at its root; the limit is 3."
    assert not problems("{ ...A } fragment A on Query { ... { x y } }", limits)


def test_counts_nested_fragments_without_unfolding_them() -> None:
    spreads = [f"fragment F{n} on Me {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60)]
    (error,) = problems("{ me { ...F0 } }" + " ".join(spreads) + " fragment F60 on Me { id }")
    assert f"{2**60 + 1} fields; the limit" in error.message


async def test_survives_fragments_in_a_circle_and_unknown_ones(ctx: Context) -> None:
    circle = "{ me { ...A } } fragment A on Me { ...B } fragment B on Me { ...A }"
    assert (await refusal(ctx, circle))["extensions"]["code"] == "INVALID_INPUT"
    assert (await refusal(ctx, "{ me { ...Nowhere } }"))["extensions"]["code"] == "INVALID_INPUT"


async def test_refuses_endless_documents_before_reading_them(ctx: Context) -> None:
    error = await refusal(ctx, "{" + "me{id}" * 5_000 + "}")
    assert "5000 tokens" in error["message"]


def test_refuses_more_fragments_than_validation_can_compare_quickly() -> None:
    names = range(FRAGMENTS_MAX + 1)
    text = "{ me {" + " ".join(f"...F{n}" for n in names) + "} }"
    (error,) = problems(text + " ".join(f"fragment F{n} on Me {{ id }}" for n in names))
    assert error.message == "This document has 101 fragments; the limit is 100."


def test_refuses_more_operations_than_can_be_prepared_quickly() -> None:
    (error,) = problems(
        " ".join(f"query Q{n} {{ me {{ id }} }}" for n in range(OPERATIONS_MAX + 1))
    )
    assert error.message == "This document has 101 operations; the limit is 100."


def test_counts_a_fragment_in_each_operation_that_spreads_it() -> None:
    fragment = "fragment F on Query { me {" + "id " * (LIMITS.fields_max // 2) + "} }"
    assert not problems("query A { ...F }" + fragment)
    (error,) = problems("query A { ...F } query B { ...F }" + fragment)
    assert error.message == "This document has 1002 fields in its operations; the limit is 1000."


@pytest.mark.parametrize(
    ("role", "budget"),
    [(Role.OWNER, 50_000), (Role.VIEWER, 50_000), (Role.AGENT, 1_000), (Role.NOBODY, 100)],
)
def test_people_may_spend_more_than_agents_and_agents_more_than_nobody(
    role: Role, budget: int
) -> None:
    assert LIMITS.budget(role) == budget
