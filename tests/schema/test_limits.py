from __future__ import annotations

import pytest
from graphql import get_introspection_query, parse, validate

from core.context import Context
from schema.limits import ALIASES_MAX, DEPTH_MAX, FIELDS_MAX, ROOT_FIELDS_MAX, WithinLimits
from schema.root import schema
from tests.schema.asking import ask, refusal


async def test_lets_the_standard_introspection_query_through(ctx: Context) -> None:
    assert (await ask(ctx, get_introspection_query()))["__schema"]["queryType"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{" + " ".join(f"a{n}: me {{ id }}" for n in range(ROOT_FIELDS_MAX + 1)) + "}", "root"),
        (
            "{ me {" + " ".join(f"a{n}: id" for n in range(ALIASES_MAX + 1)) + "} }",
            "aliases",
        ),
        ("{ me {" + "id " * FIELDS_MAX + "} }", "fields"),
    ],
)
async def test_refuses_what_is_too_large(ctx: Context, text: str, what: str) -> None:
    error = await refusal(ctx, text)
    assert what in error["message"]
    assert error["extensions"] == {"code": "INVALID_INPUT"}


@pytest.mark.parametrize(("levels", "refused"), [(DEPTH_MAX, 0), (DEPTH_MAX + 1, 1)])
def test_refuses_what_is_too_deep(levels: int, refused: int) -> None:
    text = "{ a " * levels + "}" * levels
    assert len(validate(schema._schema, parse(text), [WithinLimits])) == refused


async def test_counts_nested_fragments_without_unfolding_them(ctx: Context) -> None:
    spreads = [f"fragment F{n} on Me {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60)]
    text = "{ me { ...F0 } }" + " ".join(spreads) + " fragment F60 on Me { id }"
    error = await refusal(ctx, text)  # 2**60 fields, measured in no time
    assert "fields; the limit" in error["message"]


async def test_survives_fragments_in_a_circle_and_unknown_ones(ctx: Context) -> None:
    circle = "{ me { ...A } } fragment A on Me { ...B } fragment B on Me { ...A }"
    assert (await refusal(ctx, circle))["extensions"]["code"] == "INVALID_INPUT"
    assert (await refusal(ctx, "{ me { ...Nowhere } }"))["extensions"]["code"] == "INVALID_INPUT"


async def test_refuses_endless_documents_before_reading_them(ctx: Context) -> None:
    error = await refusal(ctx, "{" + "me{id}" * 5_000 + "}")
    assert "5000 tokens" in error["message"]
