"""JSON Schema of GraphQL types: inputs as declared, answers as selected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    SelectionSetNode,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    is_scalar_type,
)

from rest_compat.answer_rules import is_control
from rest_compat.selections import Fragments, Member, members_of, object_types_of

JsonSchema = dict[str, Any]

SCALARS: Final[Mapping[str, JsonSchema]] = {
    "String": {"type": "string"},
    "ID": {"type": "string"},
    "Int": {"type": "integer", "format": "int32"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "BigInt": {"type": "integer", "format": "int64"},
    "Bytes": {"type": "string", "format": "binary"},
    "Column": {"type": "array", "items": {}},
    "Date": {"type": "string", "format": "date"},
    "DateOrTime": {"type": "string"},
    "DateTime": {"type": "string", "format": "date-time"},
    "Decimal": {"type": "string"},
    "Duration": {"type": "string"},
    "JSON": {},
    "Long": {"type": "integer", "format": "int64"},
    "Time": {"type": "string", "format": "time"},
    "UUID": {"type": "string", "format": "uuid"},
    "Void": {"type": "null"},
}
"""What the JSON of a scalar looks like; a scalar not listed here may be anything."""


class Types:
    """Writes schemas of types; named ones are gathered in `components`."""

    def __init__(self, schema: GraphQLSchema, scalars: Mapping[str, JsonSchema]) -> None:
        self.components: dict[str, JsonSchema] = {}
        self._schema = schema
        self._scalars = {**SCALARS, **scalars}

    def of_input(self, type_: object) -> JsonSchema:
        """Return the schema of what a variable accepts, null included."""
        if is_non_null_type(type_):
            return self._input_value(type_.of_type)
        return nullable(self._input_value(type_))

    def of_text(self, type_: object) -> JsonSchema:
        """Return the schema of a parameter, which cannot be null."""
        return self._input_value(type_.of_type if is_non_null_type(type_) else type_)

    def _input_value(self, type_: object) -> JsonSchema:
        if is_list_type(type_):
            return {"type": "array", "items": self.of_input(type_.of_type)}
        if is_input_object_type(type_):
            return self._input_object(type_)
        return self._leaf(type_)

    def _input_object(self, type_: GraphQLInputObjectType) -> JsonSchema:
        if type_.name not in self.components:
            self.components[type_.name] = {}  # stops at a type that contains itself
            required = [
                name for name, field in type_.fields.items() if is_required_input_field(field)
            ]
            properties = {}
            for name, field in type_.fields.items():
                schema = self.of_input(field.type)
                if field.description:
                    schema = {**schema, "description": field.description}
                properties[name] = schema
            self.components[type_.name] = object_schema(properties, required, type_.description)
        return {"$ref": f"#/components/schemas/{type_.name}"}

    def _leaf(self, type_: object) -> JsonSchema:
        if is_enum_type(type_):
            return self._enum(type_)
        assert is_scalar_type(type_), type_
        known = self._scalars.get(type_.name)
        return dict(known) if known is not None else {"description": type_.name}

    def _enum(self, type_: GraphQLEnumType) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "enum": list(type_.values)}
        if type_.description:
            schema["description"] = type_.description
        self.components[type_.name] = schema
        return {"$ref": f"#/components/schemas/{type_.name}"}

    def of_member(
        self,
        member: Member,
        fragments: Fragments,
        omitted: Iterable[tuple[str, ...]] = (),
        *,
        is_root: bool = False,
    ) -> JsonSchema:
        """Return the schema of a selected member.

        `omitted` paths are absent instead of null; the root's object hides its control members.
        """
        type_ = member.type
        inner = get_nullable_type(type_)
        if is_root and member.selection_sets and not is_list_type(inner):
            form = self._object_forms(
                inner, member.selection_sets, fragments, list(omitted), hides_control=True
            )
            return form if is_non_null_type(type_) else nullable(form)
        return self._output(type_, member.selection_sets, fragments, list(omitted))

    def _output(
        self,
        type_: object,
        sets: list[SelectionSetNode],
        fragments: Fragments,
        omitted: list[tuple[str, ...]],
    ) -> JsonSchema:
        if is_non_null_type(type_):
            return self._output_value(type_.of_type, sets, fragments, omitted)
        return nullable(self._output_value(type_, sets, fragments, omitted))

    def _output_value(
        self,
        type_: object,
        sets: list[SelectionSetNode],
        fragments: Fragments,
        omitted: list[tuple[str, ...]],
    ) -> JsonSchema:
        if is_list_type(type_):
            items = self._output(type_.of_type, sets, fragments, omitted)
            return {"type": "array", "items": items}
        if not sets:
            return self._leaf(type_)
        return self._object_forms(type_, sets, fragments, omitted)

    def _object_forms(
        self,
        type_: object,
        sets: list[SelectionSetNode],
        fragments: Fragments,
        omitted: list[tuple[str, ...]],
        *,
        hides_control: bool = False,
    ) -> JsonSchema:
        forms: list[JsonSchema] = []
        for each in object_types_of(self._schema, type_):
            members = members_of(self._schema, each, sets, fragments)
            if hides_control:
                members = {key: inner for key, inner in members.items() if not is_control(key)}
            form = self.of_members(members, fragments, omitted)
            if form not in forms:
                forms.append(form)
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def of_members(
        self,
        members: Mapping[str, Member],
        fragments: Fragments,
        omitted: Iterable[tuple[str, ...]] = (),
        *,
        are_roots: bool = False,
    ) -> JsonSchema:
        """Return the schema of an object with these members; roots hide what controls them."""
        properties: dict[str, JsonSchema] = {}
        required = []
        for key, member in members.items():
            below = [path[1:] for path in omitted if path[0] == key and len(path) > 1]
            schema = self.of_member(member, fragments, below, is_root=are_roots)
            is_omitted = (key,) in omitted
            if is_omitted:
                schema = without_null(schema)
            if member.description:
                schema = {**schema, "description": member.description}
            properties[key] = schema
            if member.always and not is_omitted:
                required.append(key)
        return object_schema(properties, required)


def object_schema(
    properties: Mapping[str, JsonSchema],
    required: Iterable[str] = (),
    description: str | None = None,
) -> JsonSchema:
    """Return the schema of an object."""
    schema: JsonSchema = {"type": "object", "properties": dict(properties)}
    if names := list(required):
        schema["required"] = names
    if description:
        schema["description"] = description
    return schema


def nullable(schema: JsonSchema) -> JsonSchema:
    """Return the schema with null allowed beside it."""
    if not set(schema) - {"description"}:
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"] if kind != "null" else kind}
    return {"anyOf": [schema, {"type": "null"}]}


def without_null(schema: JsonSchema) -> JsonSchema:
    """Return a schema made by `nullable` as it was before."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return {**schema, "type": kind[0]}
    forms = schema.get("anyOf")
    if isinstance(forms, list) and forms[-1] == {"type": "null"}:
        return dict(forms[0]) if len(forms) == 2 else {**schema, "anyOf": forms[:-1]}
    return schema


def rows_of(schema: JsonSchema) -> JsonSchema:
    """Return the schema of the rows made from an object of columns, or from a list of them."""
    inner = without_null(schema)
    if inner.get("type") == "array":
        inner = without_null(inner["items"])
    properties = {
        name: column["items"] if "items" in (column := without_null(each)) else each
        for name, each in inner["properties"].items()
    }
    rows: JsonSchema = {"type": "array", "items": {**inner, "properties": properties}}
    return rows if schema == without_null(schema) else nullable(rows)
