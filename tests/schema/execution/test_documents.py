from __future__ import annotations

from typing import Any

import pytest
from graphql import OperationType, get_introspection_query, parse

from schema.execution import documents as module
from schema.execution.documents import REFUSED_TEXT_MAX, TEXT_CHARS_MAX, Documents
from schema.execution.requests import Refused
from schema.limits import Limits
from schema.root import schema

GOOD = "{ me { id } }"
BAD = "{ me { nmae } }"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to documents, step by step."""
    done: list[str] = []

    def counted(name: str) -> Any:
        inner = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            return inner(*args, **kwargs)

        return call

    for name in ("parse", "too_large", "validate", "cost_of", "compile_plan"):
        monkeypatch.setattr(module, name, counted(name))
    return done


def documents(**limits: Any) -> Documents:
    return Documents(schema._schema, Limits(**limits))


def refusal(found: Documents, text: str, name: str | None = None) -> Any:
    with pytest.raises(Refused) as caught:
        found.prepare(text, name)
    return caught.value.answer


def test_a_text_that_comes_again_costs_no_work_at_all(work: list[str]) -> None:
    found = documents()
    first = found.prepare(GOOD)
    assert work == ["parse", "too_large", "validate", "cost_of", "compile_plan"]
    work.clear()
    assert [found.prepare(GOOD) for _ in range(3)] == [first] * 3
    assert work == []


def test_a_refused_text_that_comes_again_is_refused_without_work(work: list[str]) -> None:
    found = documents()
    first = refusal(found, BAD)
    assert "nmae" in first.errors[0].message
    work.clear()
    again = refusal(found, BAD)
    assert [error.formatted for error in again.errors] == [e.formatted for e in first.errors]
    assert first.errors[0].formatted["locations"] == [{"line": 1, "column": 8}]
    assert not again.is_executed
    assert work == []


def test_texts_that_nobody_repeats_push_out_no_text_that_is(work: list[str]) -> None:
    found = documents(documents_max=10)
    kept = [f"{{ me {{ id a{n}: id }} }}" for n in range(10)]
    for n in range(100):
        found.prepare(f"{GOOD} # before {n}")
    for text in kept:
        found.prepare(text)
        found.prepare(text)
    for n in range(500):
        found.prepare(f"{GOOD} # {n}")
        refusal(found, f"{BAD} # {n}")
        refusal(found, f"{{ {n}")
    work.clear()
    for text in kept:
        found.prepare(text)
    assert work == []


def test_remembers_a_bounded_number_of_documents(work: list[str]) -> None:
    found = documents(documents_max=10)
    texts = [f"{GOOD} # {n}" for n in range(11)]
    for text in texts * 2:
        found.prepare(text)
    work.clear()
    for text in texts[1:]:
        found.prepare(text)
    assert work == []
    found.prepare(texts[0])  # the oldest
    assert "parse" in work


def test_remembers_a_bounded_amount_of_text(work: list[str]) -> None:
    found = documents(tokens_max=TEXT_CHARS_MAX)
    texts = [GOOD + " " * (TEXT_CHARS_MAX // 40) + f"#{n}" for n in range(40)]
    for text in texts * 2:
        found.prepare(text)
    huge = GOOD + " " * TEXT_CHARS_MAX
    found.prepare(huge)
    work.clear()
    for text in texts[1:]:
        found.prepare(text)
    assert work == []
    found.prepare(texts[0])
    found.prepare(huge)
    assert work.count("parse") == 2


def test_a_long_text_that_is_refused_is_not_remembered(work: list[str]) -> None:
    found = documents()
    text = BAD + " " * REFUSED_TEXT_MAX
    refusal(found, text)
    work.clear()
    refusal(found, text)
    assert "parse" in work


@pytest.mark.parametrize("token", ['"%s"', "#%s\n", "%s"], ids=["text", "comment", "name"])
def test_one_token_as_long_as_the_text_is_not_even_read(work: list[str], token: str) -> None:
    longest = Limits().chars_max
    found = documents()
    answer = refusal(found, "{ me " + token % ("x" * longest) + " }")
    assert f"characters; the limit is {longest}" in answer.errors[0].message
    assert work == []


def test_what_is_remembered_of_a_refusal_does_not_hold_its_document() -> None:
    found = documents()
    answer = refusal(found, "{ me { " + "nmae " * 30 + "} }")
    assert all(error.nodes is None and error.source is None for error in answer.errors)
    long_name = "n" * 5_000
    assert len(refusal(found, f"{{ {long_name} }}").errors[0].message) == 500


def test_an_operation_is_chosen_by_its_name() -> None:
    found = documents()
    text = "query A { me { id } } mutation B { reportState(report: {}) { accepted } }"
    assert found.prepare(text, "B").type is OperationType.MUTATION
    assert found.prepare(text, "A") is found.prepare(text, "A")
    assert "operationName must name one" in refusal(found, text).errors[0].message
    assert "no operation named 'C'" in refusal(found, text, "C").errors[0].message
    assert found.prepare("query A { me { id } }").operation_name == "A"


def test_suggests_no_names_where_the_schema_is_a_secret() -> None:
    assert "Did you mean" in refusal(documents(), "{ mee { id } }").errors[0].message
    closed = documents(introspection="signed-in")
    assert "Did you mean" not in refusal(closed, "{ mee { id } }").errors[0].message


def test_a_selection_that_selects_nothing_is_refused() -> None:
    assert refusal(documents(), "{ me { } }").errors


def test_the_quadratic_part_of_validation_comes_after_the_limits(work: list[str]) -> None:
    found = documents()
    refusal(found, "{ me {" + "id " * 4_000 + "} }")
    assert work == ["parse", "too_large"]


@pytest.mark.parametrize("version", [{}, {"input_value_deprecation": True, "one_of": True}])
def test_answers_what_tools_ask_of_the_schema(version: dict[str, bool]) -> None:
    text = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, **version
    )
    assert documents().prepare(text).access.is_introspecting


def test_refuses_questions_for_the_schema_that_no_tool_asks() -> None:
    deep = "{ __schema { types { " + "fields { type { " * 3 + "name" + " } }" * 3 + " } } }"
    assert "introspection depth" in refusal(documents(), deep).errors[0].message
    part = "fragment F on __Type { fields { type { fields { name description isDeprecated } } } }"
    wide = " ".join(f"a{n}: __schema {{ types {{ ...F }} }}" for n in range(20))
    (error,) = refusal(documents(), f"{part} {{ {wide} }}").errors
    assert error.message == "This operation asks for too much of the schema at once."


def test_refuses_fragments_that_nest_deeper_than_a_text_can() -> None:
    levels = 150
    parts = [
        f"fragment F{n} on Me {{ {'id { ' * levels}...F{n + 1}{'}' * levels} }}" for n in range(10)
    ]
    text = "{ me { ...F0 } }" + "".join(parts) + "fragment F10 on Me { id }"
    (error,) = refusal(documents(), text).errors
    assert error.message == "This document nests too deeply."


def test_documents_of_our_own_have_no_limits(work: list[str]) -> None:
    found = documents(depth_max=3, cost_max=100)
    text = "{ agents(first: 500) { nodes { latest { source { device } } } } }"
    assert refusal(found, text)
    work.clear()
    prepared = found.prepare_document(parse(text), None)
    assert prepared.cost is None
    assert "Agent.latest" in prepared.access.required
    assert work == ["compile_plan"]


def test_a_long_name_of_an_operation_is_not_repeated_in_full() -> None:
    error = refusal(documents(), GOOD, "x" * 10_000).errors[0]
    assert error.message == f"The document has no operation named '{'x' * 100}'."
