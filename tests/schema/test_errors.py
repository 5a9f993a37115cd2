from __future__ import annotations

import logging
from dataclasses import replace
from uuid import uuid4

import pytest

from core.callers import Role
from core.context import Context
from core.errors import ErrorCode
from core.reading_store import ReadingStore
from schema.errors import _CODED, plain
from tests.schema.asking import as_nobody, as_role, ask, follow, refusal


class _Broken:
    """Stands where a part of the context should be; its secret must not get out."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("the secret of the house")


def _broken(ctx: Context) -> Context:
    store: ReadingStore = _Broken()  # type: ignore[assignment]  # broken on purpose
    return replace(ctx, readings=store, live=store)  # type: ignore[arg-type]


SERIES = "{ series(select: {}) { metric } }"


def test_every_code_of_the_system_goes_out_as_it_is() -> None:
    assert frozenset(ErrorCode) == _CODED


async def test_an_expected_error_keeps_its_sentence_code_and_facts(ctx: Context) -> None:
    uuid = uuid4()
    error = await refusal(ctx, "query($u: UUID!) { agent(uuid: $u) { name } }", u=str(uuid))
    assert error["message"] == f"agent {uuid} not found"
    assert error["path"] == ["agent"]
    assert error["extensions"] == {"code": "NOT_FOUND", "noun": "agent", "key": str(uuid)}


async def test_tells_nobody_from_somebody_without_the_permission(ctx: Context) -> None:
    assert (await refusal(as_nobody(ctx), "{ me { id } }"))["extensions"]["code"] == (
        "UNAUTHENTICATED"
    )
    make_key = "mutation { createProvisioningKey { key } }"
    error = await refusal(as_role(ctx, Role.VIEWER), make_key)
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_an_unexpected_error_is_hidden_and_logged_with_the_request_id(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    error = await refusal(replace(_broken(ctx), request_id="r-42"), SERIES)
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "r-42"}
    assert "secret" not in str(error)
    (record,) = [each for each in caplog.records if each.name == "fleetgraph.graphql"]
    assert record.levelno == logging.ERROR
    assert "r-42" in record.getMessage()
    assert record.exc_info
    assert "the secret of the house" in str(record.exc_info[1])


async def test_subscriptions_hide_and_tell_errors_alike(ctx: Context) -> None:
    async with follow(_broken(ctx), "subscription { readings { metric } }") as results:
        result = await anext(results)
    assert result.errors
    assert result.errors[0].formatted["extensions"]["code"] == "INTERNAL"
    assert "secret" not in str(result.errors[0].formatted)
    async with follow(as_nobody(ctx), "subscription { readings { metric } }") as results:
        result = await anext(results)
    assert result.errors
    assert result.errors[0].formatted["extensions"] == {"code": "UNAUTHENTICATED"}


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ me { nmae } }", {}),
        ("{ me {", {}),
        ('{ agent(uuid: "no uuid") { name } }', {}),
        ("query($u: UUID!) { agent(uuid: $u) { name } }", {"u": "no uuid"}),
        ("query($u: UUID!) { agent(uuid: $u) { name } }", {}),
        ('{ series(select: {}, every: "soon") { metric } }', {}),
        ("query($n: Int) { agents(first: $n) { totalCount } }", {"n": None}),
    ],
)
async def test_what_does_not_fit_is_invalid_input(
    ctx: Context, text: str, variables: dict[str, object]
) -> None:
    assert (await refusal(ctx, text, **variables))["extensions"] == {"code": "INVALID_INPUT"}


async def test_introspection_is_for_everybody(ctx: Context) -> None:
    data = await ask(as_nobody(ctx), "{ __schema { queryType { name } } }")
    assert data == {"__schema": {"queryType": {"name": "Query"}}}


def test_facts_become_json() -> None:
    uuid = uuid4()
    assert plain({"of": (uuid, 1, None, {2})}) == {"of": [str(uuid), 1, None, [2]]}


@pytest.mark.parametrize("value", ["x" * 10_000, {"x" * 10_000: 1}])
async def test_a_long_value_that_is_refused_is_not_repeated_in_full(
    ctx: Context, value: object
) -> None:
    error = await refusal(ctx, "query($u: UUID!) { agent(uuid: $u) { name } }", u=value)
    assert error["extensions"]["code"] == "INVALID_INPUT"
    assert len(error["message"]) == 500
