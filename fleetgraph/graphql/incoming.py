"""From what a client sent to a GraphQLRequest, the same way for every transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from core.errors import InvalidInput
from core.payloads import refuse_nesting
from schema.execution.requests import GraphQLRequest

_NO_QUERY: Final = (
    "is required: the text of a GraphQL document "
    "(documents by id need an allow-list, which this server does not have)"
)


def read_request(member: object) -> GraphQLRequest:
    """Return the request that a map parsed from JSON makes; raises InvalidInput by member."""
    members = request_map(member)
    query = members.get("query")
    if query.__class__ is not str or not query:
        raise InvalidInput("query", _NO_QUERY if query is None else "must be a text, not empty")
    return request_of(query, members)


def request_map(member: object) -> Mapping[str, Any]:
    """Return the request as the map it must be; raises InvalidInput."""
    if not isinstance(member, dict):
        raise InvalidInput("body", 'must be a JSON object with the member "query"')
    return member


def request_of(query: str, members: Mapping[str, Any]) -> GraphQLRequest:
    """Return the request for a document with the other members; raises InvalidInput by member.

    `extensions` are checked as the specification wants it, and otherwise not used.
    """
    variables = members.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise InvalidInput("variables", "must be a JSON object or null")
    operation_name = members.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise InvalidInput("operationName", "must be a text or null")
    extensions = members.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise InvalidInput("extensions", "must be a JSON object or null")
    # Several clients send an empty name when there is none.
    return GraphQLRequest(query, variables, operation_name or None)


def read_json(body: bytes) -> Any:
    """Return what the JSON says; raises InvalidInput for broken and for very deep JSON."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise InvalidInput("body", "is empty, a JSON object is expected") from None
        raise InvalidInput("body", f"is not JSON: {error}") from None
    refuse_nesting(body, parsed)
    return parsed
