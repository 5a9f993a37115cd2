"""The OpenAPI document is a good one: valid, whole, and its examples fit its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from fleetgraph.app import openapi_text

DOCUMENT: dict[str, Any] = orjson.loads(openapi_text())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, by_method in DOCUMENT["paths"].items():
        for method, operation in by_method.items():
            yield f"{method} {path}", operation


def examples() -> Iterator[Any]:
    """Every place that has a schema and an example: (name, schema, example)."""
    for name, operation in operations():
        for parameter in operation["parameters"]:
            if "$ref" not in parameter and "example" in parameter:
                where = f"{name} {parameter['name']}"
                yield pytest.param(parameter["schema"], parameter["example"], id=where)
        contents = {"body": operation.get("requestBody", {}).get("content", {})}
        contents |= {s: each.get("content", {}) for s, each in operation["responses"].items()}
        for where, content in contents.items():
            for media in content.values():
                if where == "body" or where.startswith("2"):
                    yield pytest.param(media["schema"], media["example"], id=f"{name} {where}")


def test_it_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


@pytest.mark.parametrize(("schema", "example"), list(examples()))
def test_examples_fit_their_schemas(schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    checker = jsonschema.FormatChecker(["uuid", "date-time", "date"])
    validator = jsonschema.Draft202012Validator(whole, format_checker=checker)
    validator.validate(example)


def test_every_operation_is_told_whole() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names))
    tags = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}
    for name, operation in operations():
        assert operation["summary"], name
        assert tags[operation["tags"][0]], name
        if "requestBody" in operation:
            assert all("example" in each for each in operation["requestBody"]["content"].values())
        needed = [each for each in operation["parameters"] if each.get("required")]
        assert all("example" in each for each in needed), name
        assert {"500", "503"} <= set(operation["responses"]), name
    assert DOCUMENT["servers"]


def test_the_problem_has_an_example_that_fits() -> None:
    problem = DOCUMENT["components"]["schemas"]["Problem"]
    jsonschema.validate(problem["examples"][0], problem)
