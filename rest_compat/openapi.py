"""The OpenAPI 3.1 document, derived from the same catalog that is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from graphql import GraphQLSchema

from core.errors import ErrorCode
from rest_compat.catalog import Catalog
from rest_compat.openapi_examples import UUID, Examples
from rest_compat.openapi_operations import OperationOf
from rest_compat.openapi_types import JsonSchema, Types, object_schema

_SCHEMES: Final[JsonSchema] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "deviceKey": {"type": "apiKey", "in": "header", "name": "X-Device-API-Key"},
}
_PARAMETERS: Final[JsonSchema] = {
    "If-Match": {
        "description": "The ETag that must still be current; `*`: any. Else 412.",
        "example": '"7"',
    },
    "If-None-Match": {
        "description": "An ETag seen before; 304 when nothing has changed.",
        "example": '"0f343b0931126a20f133d67c2b018a3b"',
    },
    "Idempotency-Key": {
        "description": "A new text per piece of work, up to 255 characters. The same call again "
        "within 24 hours gets the first answer, and the work is not done twice.",
        "example": "2b0f4a51-64f5-4f0e-9f5a-0d8f6c1c7a3e",
    },
    "X-Request-ID": {
        "description": "Goes through logs and errors, and comes back.",
        "example": "req-17",
    },
}


def build_openapi(
    catalog: Catalog,
    *,
    schema: GraphQLSchema,
    title: str,
    version: str,
    description: str = "",
    scalars: Mapping[str, JsonSchema] | None = None,
) -> dict[str, Any]:
    """Return the document as JSON values; equal input gives equal output, order included.

    `scalars` adds to what is known of custom scalars, by name.
    """
    types = Types(schema, scalars or {})
    paths: dict[str, JsonSchema] = {}
    for endpoint in sorted(catalog.endpoints, key=lambda each: (each.path, each.method)):
        operation = OperationOf(schema, types, endpoint).document()
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    _add_examples(paths, Examples(types.components))
    nouns = sorted({endpoint.noun for endpoint in catalog.endpoints})
    tags = [{"name": noun, "description": catalog.nouns.get(noun, noun)} for noun in nouns]
    info = {"title": title, "version": version, "description": description}
    return {
        "openapi": "3.1.0",
        "info": {key: text for key, text in info.items() if text},
        "servers": [{"url": "/", "description": "This server"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**types.components, "Problem": _problem_schema()}.items())),
            "parameters": {name: _header(name) for name in _PARAMETERS},
            "securitySchemes": _SCHEMES,
        },
    }


def _header(name: str) -> JsonSchema:
    schema = {"schema": {"type": "string"}}
    return {"name": name, "in": "header", "required": False, **_PARAMETERS[name], **schema}


def _add_examples(paths: Mapping[str, JsonSchema], examples: Examples) -> None:
    for operations in paths.values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                # Pages to try things out send examples: one that narrows would find nothing.
                if "schema" in parameter and parameter.get("required"):
                    parameter["example"] = examples.of(parameter["schema"], parameter["name"])
            contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    contents.append(response.get("content", {}))
            for content in contents:
                for media_type, media in content.items():
                    media["example"] = _example(media_type, media, examples)


def _example(media_type: str, media: JsonSchema, examples: Examples) -> Any:
    item = media.get("x-item-schema")
    if item is None:
        return examples.of(media["schema"], "text")
    text = orjson.dumps(examples.of(item)).decode()
    return f"data: {text}\n\n" if media_type == "text/event-stream" else f"{text}\n"


def _problem_schema() -> JsonSchema:
    text = {"type": "string"}
    members = ("type", "title", "detail", "error", "message", "requestId")
    properties: dict[str, JsonSchema] = dict.fromkeys(members, text)
    properties["status"] = {"type": "integer"}
    properties["code"] = {"type": "string", "enum": [code.value for code in ErrorCode]}
    required = sorted(properties)
    properties["facts"] = {"type": "object", "description": "What the error is about, by name."}
    example = {
        "type": "urn:fleetgraph:error:not-found",
        "title": "Not found",
        "status": 404,
        "detail": f"agent {UUID} not found",
        "code": "NOT_FOUND",
        "error": "Device not found",
        "message": f"agent {UUID} not found",
        "requestId": "req-17",
        "facts": {"noun": "agent", "key": UUID},
    }
    schema = object_schema(
        dict(sorted(properties.items())),
        required,
        "RFC 9457; `error` and `message` are what older clients read.",
    )
    return {**schema, "examples": [example]}
