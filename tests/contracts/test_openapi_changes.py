"""What counts as a breaking change of REST: made-up ones, each of which must be seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.openapi_changes import changes
from tests.contracts.test_released import unnamed


def document() -> Any:
    """A small API with one of everything."""
    agent = {
        "type": "object",
        "properties": {
            "uuid": {"type": "string", "format": "uuid"},
            "state": {"$ref": "#/components/schemas/State"},
            "parent": {"anyOf": [{"$ref": "#/components/schemas/Agent"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "load": {"type": "number"},
            "extra": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["uuid", "state"],
    }
    body = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 80},
            "size": {"type": ["integer", "null"]},
        },
        "required": ["name"],
    }
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Agent"}}}
    return {
        "paths": {
            "/agents/{uuid}": {
                "get": {
                    "operationId": "Agent",
                    "security": [],
                    "parameters": [
                        {"name": "uuid", "in": "path", "required": True, "schema": {}},
                        {"name": "depth", "in": "query", "schema": {"enum": [1, 2]}},
                        {"name": "X-Old", "in": "header", "schema": {"type": "string"}},
                    ],
                    "responses": {
                        "200": {"content": answer, "headers": {"ETag": {}}},
                        "404": {"content": {"application/problem+json": {}}},
                    },
                },
                "put": {
                    "operationId": "Change",
                    "requestBody": {"content": {"application/json": {"schema": body}}},
                    "responses": {"200": {"content": answer}},
                },
            },
        },
        "components": {
            "schemas": {"Agent": agent, "State": {"type": "string", "enum": ["on", "off"]}}
        },
    }


def altered(path: str, value: object) -> Any:
    """Return the document with one place set, or removed when `value` is None."""
    made = document()
    at = made
    *steps, last = path.split("|")
    for step in steps:
        at = at[int(step) if isinstance(at, list) else step]
    if value is None:
        del at[int(last) if isinstance(at, list) else last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return made


GET, PUT = "paths|/agents/{uuid}|get", "paths|/agents/{uuid}|put"
BODY = f"{PUT}|requestBody|content|application/json|schema"
AGENT = "components|schemas|Agent"
READ, WRITE = "GET /agents/{uuid}", "PUT /agents/{uuid}"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("paths|/agents/{uuid}", None, f"{READ} was removed"),
        (GET, None, f"{READ} was removed"),
        (f"{GET}|security", [{"bearer": []}], f"{READ} security wants credentials now"),
        (f"{GET}|parameters|1", None, f"{READ} query:depth is not read any more"),
        (f"{GET}|parameters|1|required", True, f"{READ} query:depth is required now"),
        (f"{GET}|parameters|1|schema|enum", [1], f"{READ} query:depth may not be 2 any more"),
        (
            f"{GET}|parameters|2",
            {"name": "a", "in": "query", "required": True, "schema": {}},
            f"{READ} query:a is new and required",
        ),
        (f"{GET}|responses|200", None, f"{READ} 200 is not answered any more"),
        (f"{GET}|responses|200|headers|ETag", None, f"{READ} 200 lost the header ETag"),
        (
            f"{GET}|responses|200|content|application/json",
            None,
            f"{READ} 200 is not application/json any more",
        ),
        (f"{AGENT}|properties|uuid", None, f"{READ} 200.uuid was removed"),
        (f"{AGENT}|properties|uuid|type", ["string", "null"], f"{READ} 200.uuid may be null now"),
        (
            f"{AGENT}|properties|uuid|format",
            None,
            f"{READ} 200.uuid is not of the format uuid any more",
        ),
        (f"{AGENT}|required", ["uuid"], f"{READ} 200.state may be missing now"),
        (
            f"{AGENT}|properties|tags|items|type",
            "integer",
            f"{READ} 200.tags[] may be integer now",
        ),
        (f"{AGENT}|properties|load", {}, f"{READ} 200.load may be array now"),
        (
            f"{AGENT}|properties|extra|additionalProperties|type",
            "boolean",
            f"{READ} 200.extra.* may be boolean now",
        ),
        (
            f"{AGENT}|properties|state",
            {"anyOf": [{"$ref": "#/components/schemas/State"}, {"type": "null"}]},
            f"{READ} 200.state may be null now",
        ),
        ("components|schemas|State|enum", None, f"{READ} 200.state may be 'anything' now"),
        (f"{PUT}|requestBody|required", True, f"{WRITE} body is required now"),
        (
            f"{PUT}|requestBody|content",
            {"text/csv": {}},
            f"{WRITE} body may not be application/json any more",
        ),
        (f"{BODY}|properties|size", None, f"{WRITE} body.size is not read any more"),
        (f"{BODY}|properties|size|type", "integer", f"{WRITE} body.size may not be null any more"),
        (f"{BODY}|properties|name|maxLength", 60, f"{WRITE} body.name has a maxLength of 60 now"),
        (f"{BODY}|properties|name|minLength", 1, f"{WRITE} body.name has a minLength of 1 now"),
        (
            f"{BODY}|properties|name|pattern",
            "^a",
            f"{WRITE} body.name has another pattern: ^a",
        ),
        (f"{BODY}|required", ["name", "size"], f"{WRITE} body.size is required now"),
        (f"{BODY}|required", ["name", "kind"], f"{WRITE} body.kind is new and required"),
        (
            f"{BODY}|additionalProperties",
            False,
            f"{WRITE} body may not have other members any more",
        ),
    ],
)
def test_a_change_of_rest_must_be_named(path: str, value: object, expected: str) -> None:
    found = changes(document(), altered(path, value))
    assert expected in [str(change) for change in found if change.breaks]
    breaks = [(change.names, change.what) for change in found if change.breaks]
    assert unnamed(breaks, [" ".join(unnamed(breaks, []))]) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{AGENT}|properties|more", {"type": "string"}),
        (f"{AGENT}|required", ["uuid", "state", "load"]),
        (f"{AGENT}|properties|load|type", "integer"),
        (f"{BODY}|properties|more", {"type": "string"}),
        (f"{BODY}|properties|name|maxLength", 90),
        (f"{BODY}|required", []),
        (f"{GET}|parameters|1|schema|enum", [1, 2, 3]),
        (f"{GET}|parameters|0|name", "agent"),
        (f"{GET}|responses|404", None),
        (f"{GET}|responses|202", {}),
        (f"{PUT}|requestBody|content|text/csv", {}),
        ("paths|/more", {"get": {"responses": {}}}),
    ],
)
def test_what_only_adds_breaks_nothing(path: str, value: object) -> None:
    assert changes(document(), altered(path, value)) == []


def test_a_renamed_variable_of_a_path_breaks_nothing() -> None:
    new = document()
    new["paths"]["/agents/{id}"] = new["paths"].pop("/agents/{uuid}")
    new["paths"]["/agents/{id}"]["get"]["parameters"][0]["name"] = "id"
    assert changes(document(), new) == []


def test_new_words_in_answers_and_new_names_for_clients_are_only_dangers() -> None:
    new = altered("components|schemas|State|enum", ["on", "off", "idle"])
    new["paths"]["/agents/{uuid}"]["put"]["operationId"] = "Alter"
    found = changes(document(), new)
    assert {change.breaks for change in found} == {False}
    assert f"{READ} 200.state may be 'idle' now" in map(str, found)
