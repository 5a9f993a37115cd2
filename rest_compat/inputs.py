"""From a request to the operation's variables. Absent stays absent, null is null."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLInputType,
    GraphQLScalarType,
    GraphQLString,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
)
from starlette.requests import Request

from core.errors import InvalidInput, PreconditionFailed
from rest_compat.bodies import ABSENT, is_form, media_type_of, parse_form, parse_json, parse_lines
from rest_compat.endpoints import Endpoint, Input, Place
from rest_compat.etags import etags_in

_INT: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def read_variables(
    endpoint: Endpoint, request: Request, path: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the variables that the request gives; what it does not give is absent.

    Raises InvalidInput with the input's name as the caller knows it.
    """
    members = _Members(request, body) if endpoint.reads_body else None
    variables: dict[str, Any] = {}
    missing: list[str] = []
    for item in endpoint.inputs:
        value = _value(item, request, path, members)
        if value is not ABSENT:
            variables[item.name] = value
        elif item.required:
            missing.append(item.label)
    if missing:
        raise InvalidInput(missing[0], "is required", missing=missing)
    return variables


def bearer_of(request: Request) -> str | None:
    """Return the text of `Authorization: Bearer …`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class _Members:
    """The body, parsed when an input first asks for it."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.bytes = body
        self.is_form = is_form(media_type_of(request))
        self._parsed: Any = None
        self._is_parsed = False

    @property
    def parsed(self) -> Any:
        """JSON, or the form's fields as lists of texts; absent when the body is empty."""
        if not self._is_parsed:
            self._parsed = parse_form(self.bytes) if self.is_form else parse_json(self.bytes)
            self._is_parsed = True
        return self._parsed

    def whole(self, item: Input) -> Any:
        if self.is_form and self.parsed is not ABSENT:
            return {name: texts[-1] for name, texts in self.parsed.items()}
        return _relaxed(item.type, self.parsed)

    def member(self, item: Input) -> Any:
        members = self.parsed
        if members is ABSENT or members is None:
            return ABSENT
        if not isinstance(members, dict):
            raise InvalidInput("body", "must be a JSON object")
        if item.label not in members:
            return ABSENT
        if self.is_form:
            return _from_texts(item, members[item.label])
        return _relaxed(item.type, members[item.label])


def _value(item: Input, request: Request, path: Mapping[str, str], members: _Members | None) -> Any:
    if item.place is Place.PATH:
        return _from_texts(item, [path[item.name]])
    if item.place is Place.QUERY:
        texts = request.query_params.getlist(item.label)
        return _from_texts(item, texts or request.query_params.getlist(f"{item.label}[]"))
    if item.place is Place.HEADER:
        return _from_texts(item, request.headers.getlist(item.label))
    if item.place is Place.BEARER:
        return bearer_of(request) or ABSENT
    if item.place is Place.FIXED:
        return fixed_value(item)
    if item.place is Place.IF_MATCH:
        return _version(item, request.headers.get("if-match"))
    assert members is not None
    if item.place is Place.RAW:
        return members.bytes
    if item.place is Place.LINES:
        return [_relaxed(_item_type(item), each) for each in parse_lines(members.bytes)[0]]
    value = members.whole(item) if item.place is Place.BODY else members.member(item)
    if isinstance(value, str):
        _refuse_nul(item, value)
    return value


def fixed_value(item: Input) -> Any:
    """Return what the directive says a variable is."""
    return _from_texts(item, [item.label])


def _item_type(item: Input) -> GraphQLInputType:
    found: GraphQLInputType = get_nullable_type(item.type).of_type  # type: ignore[union-attr]
    return found


def _version(item: Input, if_match: str | None) -> Any:
    """Return the version in If-Match; what cannot be a version is not the current one."""
    if if_match is None or if_match.strip() == "*":
        return ABSENT
    tags = [tag or "-" for tag in etags_in(if_match)]  # "" is an ETag; no text at all would be none
    if len(tags) > 1:
        raise InvalidInput(item.label, "must name one ETag")
    try:
        return _from_texts(item, tags or ["-"])
    except InvalidInput:
        raise PreconditionFailed("If-Match is not the ETag of the current version") from None


def _from_texts(item: Input, texts: Sequence[str]) -> Any:
    """Read a value from texts; an empty text is no value, except where text is wanted."""
    type_ = get_nullable_type(item.type)
    if is_list_type(type_) and item.place is not Place.PATH:
        inner = get_nullable_type(type_.of_type)
        parts = [part.strip() for text in texts for part in text.split(",")]
        values = [_from_text(item, inner, part) for part in parts if part]
        return values if texts else ABSENT
    if not texts or (not texts[-1] and type_ is not GraphQLString):
        return ABSENT
    return _from_text(item, type_, texts[-1])


def _from_text(item: Input, type_: object, text: str) -> Any:
    _refuse_nul(item, text)
    if isinstance(type_, GraphQLEnumType):
        return _enum_name(type_, text)
    if type_ is GraphQLBoolean:
        if text.lower() not in _BOOLEANS:
            raise InvalidInput(item.label, "must be true or false")
        return _BOOLEANS[text.lower()]
    if isinstance(type_, GraphQLScalarType) and type_.name in _NUMBERS:
        pattern, convert, words = _NUMBERS[type_.name]
        if not pattern.fullmatch(text):
            raise InvalidInput(item.label, f"must be a {words}")
        return convert(text)
    return text


_NUMBERS: Final[Mapping[str, tuple[re.Pattern[str], Callable[[str], float], str]]] = {
    "Int": (_INT, int, "whole number"),
    "Long": (_INT, int, "whole number"),
    "Float": (_FLOAT, float, "number"),
}


def _relaxed(type_: GraphQLInputType, value: Any) -> Any:
    """Forgive what legacy clients do: unknown members, and enum values in other cases."""
    inner = get_nullable_type(type_)
    if isinstance(inner, GraphQLEnumType) and isinstance(value, str):
        return _enum_name(inner, value)
    if is_list_type(inner) and isinstance(value, list):
        return [_relaxed(inner.of_type, each) for each in value]
    if is_input_object_type(inner) and isinstance(value, dict):
        fields = inner.fields
        return {k: _relaxed(fields[k].type, v) for k, v in value.items() if k in fields}
    return value


def _enum_name(type_: GraphQLEnumType, text: str) -> str:
    if text in type_.values:
        return text
    wanted = text.upper().replace("-", "_")
    return next((name for name in type_.values if name.upper() == wanted), text[:100])


def _refuse_nul(item: Input, text: str) -> None:
    if "\0" in text:  # PostgreSQL has no such character
        raise InvalidInput(item.label, "must not contain the character NUL")
