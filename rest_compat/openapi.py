"""The OpenAPI 3.1 document, derived from the same catalog that is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql import GraphQLSchema

from core.errors import ErrorCode
from rest_compat.catalog import Catalog
from rest_compat.endpoints import Auth, Codec, Endpoint, Envelope, Fallback, Input, Place
from rest_compat.openapi_bodies import BodyOf
from rest_compat.openapi_types import JsonSchema, Types, object_schema
from rest_compat.problem import KINDS, PROBLEM_JSON

_PARAMETERS: Final = {Place.PATH: "path", Place.QUERY: "query", Place.HEADER: "header"}
_SECURITY: Final[Mapping[Auth, list[dict[str, list[str]]]]] = {
    Auth.USER: [{"bearer": []}],
    Auth.AGENT: [{"deviceKey": []}],
    Auth.ANY: [{"bearer": []}, {"deviceKey": []}, {}],
    Auth.NONE: [],
}
_SCHEMES: Final[JsonSchema] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "deviceKey": {"type": "apiKey", "in": "header", "name": "X-Device-API-Key"},
}
_SUCCESSES: Final = {200: "Success", 201: "Created", 202: "Accepted", 204: "Done, no content"}


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
        operation = _Operation(schema, types, endpoint).document()
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    nouns = sorted({endpoint.noun for endpoint in catalog.endpoints})
    info = {"title": title, "version": version, "description": description}
    return {
        "openapi": "3.1.0",
        "info": {key: text for key, text in info.items() if text},
        "tags": [{"name": noun} for noun in nouns],
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**types.components, "Problem": _problem_schema()}.items())),
            "securitySchemes": _SCHEMES,
        },
    }


def _problem_schema() -> JsonSchema:
    text = {"type": "string"}
    members = ("type", "title", "detail", "error", "message", "requestId")
    properties: dict[str, JsonSchema] = dict.fromkeys(members, text)
    properties["status"] = {"type": "integer"}
    properties["code"] = {"type": "string", "enum": [code.value for code in ErrorCode]}
    required = sorted(properties)
    properties["facts"] = {"type": "object", "description": "What the error is about, by name."}
    return object_schema(
        dict(sorted(properties.items())),
        required,
        "RFC 9457; `error` and `message` are what older clients read.",
    )


class _Operation:
    """The entry of one endpoint."""

    def __init__(self, schema: GraphQLSchema, types: Types, endpoint: Endpoint) -> None:
        self._schema = schema
        self._types = types
        self._endpoint = endpoint
        self._body = BodyOf(schema, types, endpoint)

    def document(self) -> JsonSchema:
        endpoint = self._endpoint
        operation: JsonSchema = {"operationId": endpoint.name, "tags": [endpoint.noun]}
        if endpoint.summary:
            operation["summary"] = endpoint.summary
        if endpoint.description:
            operation["description"] = endpoint.description
        operation["security"] = _SECURITY[endpoint.auth]
        if parameters := list(self._parameters()):
            operation["parameters"] = parameters
        if endpoint.reads_body:
            operation["requestBody"] = self._request_body()
        operation["responses"] = dict(sorted(self._responses()))
        return operation

    def _parameters(self) -> Iterator[JsonSchema]:
        for item in self._endpoint.inputs:
            if item.place not in _PARAMETERS:
                continue
            parameter: JsonSchema = {
                "name": item.label,
                "in": _PARAMETERS[item.place],
                "required": item.required or item.place is Place.PATH,
            }
            if item.description:
                parameter["description"] = item.description
            yield {**parameter, "schema": _with_default(self._types.of_text(item.type), item)}
        if self._endpoint.answering.codec is Codec.ETAG:
            yield {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
            }

    def _request_body(self) -> JsonSchema:
        inputs = self._endpoint.inputs
        for item in inputs:
            if item.place is Place.RAW:
                content: JsonSchema = {"application/octet-stream": {"schema": {}}}
                return {"required": item.required, "content": content}
            if item.place is Place.BODY:
                content = {"application/json": {"schema": self._types.of_input(item.type)}}
                return {"required": item.required, "content": content}
        members = [item for item in inputs if item.place is Place.MEMBER]
        properties = {}
        for item in members:
            schema = _with_default(self._types.of_input(item.type), item)
            if item.description:
                schema = {**schema, "description": item.description}
            properties[item.label] = schema
        required = [item.label for item in members if item.required]
        content = {"application/json": {"schema": object_schema(properties, required)}}
        return {"required": bool(required), "content": content}

    def _responses(self) -> Iterator[tuple[str, JsonSchema]]:
        answering = self._endpoint.answering
        for status in {answering.status, *answering.outcomes.values()}:
            yield str(status), self._success(status)
        if answering.when_unavailable is Fallback.ACCEPT and answering.status != 202:
            accepted = object_schema({"status": {"const": "accepted"}}, ["status"])
            content = {"application/json": {"schema": accepted}}
            yield "202", {"description": "Accepted, to be done later", "content": content}
        if answering.codec is Codec.ETAG or answering.when_unavailable is Fallback.NOT_MODIFIED:
            yield "304", {"description": "Not modified, or nothing new to say"}
        for status, titles in sorted(self._errors().items()):
            problem = {"$ref": "#/components/schemas/Problem"}
            yield (
                str(status),
                {
                    "description": ", ".join(sorted(titles)),
                    "content": {PROBLEM_JSON: {"schema": problem}},
                },
            )

    def _errors(self) -> dict[int, set[str]]:
        endpoint = self._endpoint
        statuses: dict[int, set[str]] = {}
        for code, kind in KINDS.items():
            if code is ErrorCode.PAYLOAD_TOO_LARGE and not endpoint.reads_body:
                continue
            own = [entry for entry in endpoint.answering.errors if entry.code is code]
            if all(entry.field is not None for entry in own):
                statuses.setdefault(kind.status, set()).add(kind.error)
            for entry in own:
                statuses.setdefault(entry.status or kind.status, set()).add(entry.title)
        return statuses

    def _success(self, status: int) -> JsonSchema:
        answering = self._endpoint.answering
        response: JsonSchema = {"description": _SUCCESSES.get(status, "Success")}
        headers = [name for name, _ in answering.response_headers]
        if answering.codec is Codec.ETAG:
            headers.append("ETag")
        if headers:
            response["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
        if answering.codec is Codec.TEXT:
            response["content"] = {"text/plain": {"schema": {"type": "string"}}}
        elif answering.envelope is not Envelope.NONE:
            response["content"] = {"application/json": {"schema": self._body.schema()}}
        return response


def _with_default(schema: JsonSchema, item: Input) -> JsonSchema:
    if item.default is None:
        return schema
    return {**schema, "default": item.default}
