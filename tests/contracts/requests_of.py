"""REST requests made from the catalogue: the arguments of the fields, put where each is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from graphql import (
    FieldNode,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)

from rest_compat.endpoints import Endpoint, Input, Place
from tests.contracts.field_cases import FIELDS
from tests.contracts.world_of_two import Tenancy

FIELDS_FILE = "tests/contracts/field_cases.py"


def route_of(endpoint: Endpoint) -> str:
    """Return method and path."""
    return f"{endpoint.method} {endpoint.path}"


def fields_behind(endpoint: Endpoint) -> list[FieldNode]:
    """Return the root fields that the endpoint asks for."""
    found = []
    for node in endpoint.operation.selection_set.selections:
        assert isinstance(node, FieldNode), f"{endpoint.name}: name the root fields themselves"
        found.append(node)
    return found


def field_name(endpoint: Endpoint, node: FieldNode) -> str:
    """Return `Query.agent` for a root field of the endpoint."""
    return f"{endpoint.operation.operation.value.capitalize()}.{node.name.value}"


def variables_of(endpoint: Endpoint, it: Tenancy, me: Tenancy) -> dict[str, Any]:
    """Return the variables for which the fields get the arguments of their cases."""
    found: dict[str, Any] = {}
    for node in fields_behind(endpoint):
        given = FIELDS[field_name(endpoint, node)](it, me)
        for argument in node.arguments or ():
            if argument.name.value in given:
                _match(argument.value, given[argument.name.value], found)
    return found


def request_of(endpoint: Endpoint, it: Tenancy, me: Tenancy) -> dict[str, Any]:
    """Return the keyword arguments of the HTTP client that make the request.

    Fails by name when a variable that must be there is given by no case.
    """
    given = variables_of(endpoint, it, me)
    path: dict[str, str] = {}
    sent: dict[str, Any] = {"headers": {}, "params": {}}
    for item in endpoint.inputs:
        if item.name in given:
            _put(sent, path, item, given[item.name])
        else:
            assert not item.required or item.place is Place.FIXED, (
                f"{route_of(endpoint)}: the cases of {FIELDS_FILE} give no {item.label}"
            )
    return {"method": endpoint.method, "url": endpoint.path.format(**path), **sent}


def _put(sent: dict[str, Any], path: dict[str, str], item: Input, value: Any) -> None:
    if item.place is Place.PATH:
        path[item.name] = quote(str(value), safe="")
    elif item.place is Place.QUERY:
        sent["params"][item.label] = value
    elif item.place is Place.HEADER:
        sent["headers"][item.label] = value
    elif item.place is Place.IF_MATCH:
        sent["headers"]["if-match"] = f'"{value}"'
    elif item.place is Place.BEARER:
        sent["headers"]["authorization"] = f"Bearer {value}"
    elif item.place is Place.MEMBER:
        sent.setdefault("json", {})[item.label] = value
    elif item.place is Place.BODY:
        sent["json"] = value
    elif item.place is Place.LINES:
        sent["content"] = b"".join(json.dumps(each).encode() + b"\n" for each in value)
    elif item.place is Place.RAW:
        sent["content"] = value.encode()


def _match(node: ValueNode, value: Any, found: dict[str, Any]) -> None:
    """Find what the variables in `node` must be for it to say `value`."""
    if isinstance(node, VariableNode):
        found[node.name.value] = value
    elif isinstance(node, ObjectValueNode) and isinstance(value, Mapping):
        for field in node.fields:
            if field.name.value in value:
                _match(field.value, value[field.name.value], found)
    elif isinstance(node, ListValueNode) and isinstance(value, list):
        for inner, each in zip(node.values, value, strict=False):
            _match(inner, each, found)
