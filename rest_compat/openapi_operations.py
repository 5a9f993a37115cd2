"""The entry of one endpoint in the OpenAPI document: inputs, statuses, answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from graphql import GraphQLSchema

from core.errors import ErrorCode
from rest_compat.endpoints import Auth, Codec, Endpoint, Envelope, Fallback, Input, Place
from rest_compat.openapi_bodies import BodyOf
from rest_compat.openapi_types import JsonSchema, Types, object_schema
from rest_compat.problem import HEADER_KINDS, KINDS, PROBLEM_JSON

_PARAMETERS: Final = {Place.PATH: "path", Place.QUERY: "query", Place.HEADER: "header"}
_SECURITY: Final[Mapping[Auth, list[dict[str, list[str]]]]] = {
    Auth.USER: [{"bearer": []}],
    Auth.AGENT: [{"deviceKey": []}],
    Auth.ANY: [{"bearer": []}, {"deviceKey": []}, {}],
    Auth.NONE: [],
}
_SUCCESSES: Final = {200: "Success", 201: "Created", 202: "Accepted", 204: "Done, no content"}


class OperationOf:
    """Writes the entry of one endpoint."""

    def __init__(self, schema: GraphQLSchema, types: Types, endpoint: Endpoint) -> None:
        self._schema = schema
        self._types = types
        self._endpoint = endpoint
        self._body = BodyOf(schema, types, endpoint)

    def document(self) -> JsonSchema:
        """Return the entry, without examples."""
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
        for name in self._headers():
            yield {"$ref": f"#/components/parameters/{name}"}

    def _headers(self) -> Iterator[str]:
        endpoint = self._endpoint
        if endpoint.method == "GET" and not endpoint.is_subscription:
            yield "If-None-Match"
        if any(item.place is Place.IF_MATCH for item in endpoint.inputs):
            yield "If-Match"
        if endpoint.is_idempotent:
            yield "Idempotency-Key"
        yield "X-Request-ID"

    def _request_body(self) -> JsonSchema:
        inputs = self._endpoint.inputs
        for item in inputs:
            if item.place is Place.RAW:
                lines = {"schema": {"type": "string", "format": "binary"}}
                content: JsonSchema = {"application/octet-stream": lines}
                return {"required": False, "content": content}
            if item.place is Place.LINES:
                listed = self._types.of_text(item.type)
                content = {
                    "application/x-ndjson": {"schema": {"type": "string"}},
                    "application/json": {"schema": listed},
                }
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
        is_conditional = self._endpoint.method == "GET" and not self._endpoint.is_subscription
        if is_conditional or answering.when_unavailable is Fallback.NOT_MODIFIED:
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
        if endpoint.reads_body:
            statuses.setdefault(415, set()).add(HEADER_KINDS["Content-Type"].error)
        if endpoint.is_idempotent:
            statuses.setdefault(422, set()).add(HEADER_KINDS["Idempotency-Key"].error)
        return statuses

    def _success(self, status: int) -> JsonSchema:
        answering = self._endpoint.answering
        response: JsonSchema = {"description": _SUCCESSES.get(status, "Success")}
        headers = ["X-Request-ID", *(name for name, _ in answering.response_headers)]
        if self._endpoint.method == "GET" and not self._endpoint.is_subscription:
            headers.append("ETag")
        if answering.next_page is not None:
            headers.append("Link")
        if self._endpoint.is_idempotent:
            headers.append("Idempotency-Replayed")
        response["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
        if answering.envelope is not Envelope.NONE:
            response["content"] = self._content()
        return response

    def _content(self) -> JsonSchema:
        answering = self._endpoint.answering
        if answering.codec is Codec.TEXT:
            return {"text/plain": {"schema": {"type": "string"}}}
        if answering.codec is Codec.SSE or answering.codec is Codec.NDJSON:
            item = self._body.schema()
            media_type = "application/x-ndjson"
            if answering.codec is Codec.SSE:
                media_type = "text/event-stream"
            return {media_type: {"schema": {"type": "string"}, "x-item-schema": item}}
        return {"application/json": {"schema": self._body.schema()}}


def _with_default(schema: JsonSchema, item: Input) -> JsonSchema:
    if item.default is None:
        return schema
    return {**schema, "default": item.default}
