"""JSON Schema of an endpoint's answer: the selection, in the shape that shaping.py gives it."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import GraphQLSchema, get_nullable_type, is_list_type

from rest_compat.answer_rules import is_control
from rest_compat.endpoints import Codec, Endpoint, Envelope, Keyed
from rest_compat.openapi_types import (
    JsonSchema,
    Types,
    nullable,
    object_schema,
    rows_of,
    without_null,
)
from rest_compat.selections import Member, below, members_of


class BodyOf:
    """Writes the schema of one endpoint's answer."""

    def __init__(self, schema: GraphQLSchema, types: Types, endpoint: Endpoint) -> None:
        self._schema = schema
        self._types = types
        self._endpoint = endpoint
        root = schema.get_root_type(endpoint.operation.operation)
        assert root is not None
        self._roots = members_of(
            schema, root, [endpoint.operation.selection_set], endpoint.fragments
        )

    def schema(self) -> JsonSchema:
        """Return the schema of the body; of one event, for a stream."""
        endpoint, answering = self._endpoint, self._endpoint.answering
        root = self._roots[endpoint.root_key]
        fragments = endpoint.fragments
        if answering.codec is Codec.ETAG:
            document = below(self._schema, root, fragments)["document"]
            return self._types.of_member(document, fragments)
        if answering.is_object:
            plain = {key: each for key, each in self._roots.items() if not is_control(key)}
            body = self._types.of_members(plain, fragments, answering.omit_null, are_roots=True)
            return self._enveloped(self._shaped(self._never_missing(body)), None)
        if answering.codec is Codec.NDJSON and not endpoint.is_subscription:
            listed = without_null(self._types.of_member(root, fragments, answering.omit_null))
            return dict(listed["items"])
        if answering.envelope is Envelope.LIST and answering.rows is None:
            member, omitted = self._list_member(root)
            return without_null(self._types.of_member(member, fragments, omitted))
        value = self._types.of_member(root, fragments, answering.omit_null, is_root=True)
        if endpoint.missing_is_not_found:
            value = without_null(value)
        return self._enveloped(self._shaped(value), root)

    def _never_missing(self, body: JsonSchema) -> JsonSchema:
        key = self._endpoint.root_key
        if self._endpoint.missing_is_not_found:
            properties = body["properties"]
            return {**body, "properties": {**properties, key: without_null(properties[key])}}
        return body

    def _list_member(self, root: Member) -> tuple[Member, list[tuple[str, ...]]]:
        """Return the list inside the root field, and which members of its items are omitted."""
        omitted = list(self._endpoint.answering.omit_null)
        while not is_list_type(get_nullable_type(root.type)):
            inside = below(self._schema, root, self._endpoint.fragments)
            key, root = next(each for each in inside.items() if not is_control(each[0]))
            omitted = [path[1:] for path in omitted if path[0] == key and len(path) > 1]
        return root, omitted

    def _shaped(self, body: JsonSchema) -> JsonSchema:
        rows = self._endpoint.answering.rows
        if rows is not None:
            properties = body["properties"]
            listed = rows_of(properties[rows.member])
            body = {**body, "properties": {**properties, rows.member: listed}}
        for keyed in self._endpoint.answering.keyed:
            body = _keyed(body, keyed.at, keyed)
        if self._endpoint.answering.count is None:
            return body
        return _with_members({"count": {"type": "integer"}}, body)

    def _enveloped(self, value: JsonSchema, root: Member | None) -> JsonSchema:
        answering = self._endpoint.answering
        front: dict[str, JsonSchema] = {}
        if answering.envelope is Envelope.SUCCESS:
            front["success"] = {"const": True}
        elif answering.envelope is Envelope.STATUS:
            front["status"] = {"const": "ok"}
        if answering.message is not None or answering.messages:
            front["message"] = {"type": "string"}
        after: dict[str, JsonSchema] = {}
        if answering.tells_request_id:
            after["requestId"] = {"type": "string"}
        if answering.envelope is Envelope.LIST:
            return without_null(next(iter(value["properties"].values())))
        if answering.envelope is Envelope.ROOT_FIELD:
            return _with_members({}, value, after) if after else value
        is_leaf = (
            root is not None
            and not root.selection_sets
            and not is_list_type(get_nullable_type(root.type))
        )
        if is_leaf:
            return object_schema({**front, **after}, [*front, *after])
        if answering.envelope is Envelope.DATA:
            members = {**front, "data": value, **after}
            return object_schema(members, members)
        return _with_members(front, value, after)


def _with_members(
    front: Mapping[str, JsonSchema], body: JsonSchema, after: Mapping[str, JsonSchema] | None = None
) -> JsonSchema:
    """Return the schema of an object with members put in front of its own, and behind."""
    if "anyOf" in body:
        return {**body, "anyOf": [_with_members(front, form, after) for form in body["anyOf"]]}
    behind = after or {}
    own = {name: each for name, each in body.get("properties", {}).items() if name not in behind}
    required = [name for name in body.get("required", ()) if name not in {*front, *behind}]
    return {
        **body,
        "properties": {**front, **own, **behind},
        "required": [*front, *required, *behind],
    }


def _keyed(schema: JsonSchema, at: tuple[str, ...], keyed: Keyed) -> JsonSchema:
    """Return the schema with the list at a path as an object of its items."""
    inner = without_null(schema)
    if at and inner.get("type") == "array":
        changed = {**inner, "items": _keyed(inner["items"], at, keyed)}
    elif at:
        properties = inner["properties"]
        changed = {
            **inner,
            "properties": {**properties, at[0]: _keyed(properties[at[0]], at[1:], keyed)},
        }
    else:
        item = without_null(inner["items"]) if inner.get("type") == "array" else inner
        rest = {name: each for name, each in item["properties"].items() if name != keyed.by}
        required = [name for name in item.get("required", ()) if name != keyed.by]
        value = object_schema(rest, required) if keyed.value is None else rest[keyed.value]
        changed = {"type": "object", "additionalProperties": value}
    return changed if inner == schema else nullable(changed)
