"""From a request to the operation's variables. Absent stays absent, null is null."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLInputType,
    GraphQLInt,
    GraphQLString,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
)
from starlette.requests import Request

from core.errors import InvalidInput, PayloadTooLarge
from core.payloads import inflate
from rest_compat.endpoints import Endpoint, Input, Place

DEPTH_MAX: Final = 200  # orjson writes 254 levels; the answer may wrap what came in
FORM_FIELDS_MAX: Final = 1000
_THREAD_FROM_BYTES: Final = 128 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_INT: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_ABSENT: Final = object()


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body without its compression. Raises PayloadTooLarge, InvalidInput."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:19]) > limit_bytes:
        raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
    parts: list[bytes] = []
    room = limit_bytes
    async for part in request.stream():
        room -= len(part)
        if room < 0:
            raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
        parts.append(part)
    body = b"".join(parts)
    encoding = request.headers.get("content-encoding")
    if encoding and len(body) >= _THREAD_FROM_BYTES:
        return await asyncio.to_thread(inflate, body, encoding, limit_bytes)
    return inflate(body, encoding, limit_bytes)


def read_variables(
    endpoint: Endpoint, request: Request, path: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the variables that the request gives; what it does not give is absent.

    Raises InvalidInput with the input's name as the caller knows it.
    """
    members = _Members(request, body) if endpoint.reads_body else None
    variables: dict[str, Any] = {}
    for item in endpoint.inputs:
        value = _value(item, request, path, members)
        if value is not _ABSENT:
            variables[item.name] = value
        elif item.required:
            raise InvalidInput(item.label, "is required")
    return variables


def bearer_of(request: Request) -> str | None:
    """Return the text of `Authorization: Bearer …`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class _Members:
    """The body, parsed when an input first asks for it."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.bytes = body
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.is_form = media_type == _FORM
        self._parsed: Any = None
        self._is_parsed = False

    @property
    def parsed(self) -> Any:
        """JSON, or the form's fields as lists of texts; absent when the body is empty."""
        if not self._is_parsed:
            self._parsed = _parse_form(self.bytes) if self.is_form else _parse_json(self.bytes)
            self._is_parsed = True
        return self._parsed

    def whole(self, item: Input) -> Any:
        if self.is_form and self.parsed is not _ABSENT:
            return {name: texts[-1] for name, texts in self.parsed.items()}
        return _relaxed(item.type, self.parsed)

    def member(self, item: Input) -> Any:
        members = self.parsed
        if members is _ABSENT or members is None:
            return _ABSENT
        if not isinstance(members, dict):
            raise InvalidInput("body", "must be a JSON object")
        if item.label not in members:
            return _ABSENT
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
        return bearer_of(request) or _ABSENT
    assert members is not None
    if item.place is Place.RAW:
        return members.bytes
    value = members.whole(item) if item.place is Place.BODY else members.member(item)
    if isinstance(value, str):
        _refuse_nul(item, value)
    return value


_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""Half of a character: JavaScript writes it when it cuts a text within an emoji. An agent that
does must not be refused, or it goes silent."""


def _parse_json(body: bytes) -> Any:
    if not body.strip():
        return _ABSENT
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        mended = _LONE_SURROGATE.sub(rb"\\ufffd", body)
        if mended == body:
            raise InvalidInput("body", f"is not JSON: {error}") from None
        return _parse_json(mended)
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX:
        _refuse_depth(parsed)
    return parsed


def _refuse_depth(parsed: Any) -> None:
    level = [parsed]
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
        if not deeper:
            return
        level = deeper
    raise InvalidInput("body", f"is nested more than {DEPTH_MAX} levels")


def _parse_form(body: bytes) -> Any:
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise InvalidInput("body", "is not a form of at most 1000 fields in UTF-8") from None
    for name, text in pairs:
        fields.setdefault(name, []).append(text)
    return fields or _ABSENT


def _from_texts(item: Input, texts: Sequence[str]) -> Any:
    """Read a value from texts; an empty text is no value, except where text is wanted."""
    type_ = get_nullable_type(item.type)
    if is_list_type(type_) and item.place is not Place.PATH:
        inner = get_nullable_type(type_.of_type)
        parts = [part.strip() for text in texts for part in text.split(",")]
        values = [_from_text(item, inner, part) for part in parts if part]
        return values if texts else _ABSENT
    if not texts or (not texts[-1] and type_ is not GraphQLString):
        return _ABSENT
    return _from_text(item, type_, texts[-1])


def _from_text(item: Input, type_: object, text: str) -> Any:
    _refuse_nul(item, text)
    if isinstance(type_, GraphQLEnumType):
        return _enum_name(type_, text)
    if type_ is GraphQLBoolean:
        if text.lower() not in _BOOLEANS:
            raise InvalidInput(item.label, "must be true or false")
        return _BOOLEANS[text.lower()]
    for numeric, pattern, convert, words in _NUMBERS:
        if type_ is numeric:
            if not pattern.fullmatch(text):
                raise InvalidInput(item.label, f"must be a {words}")
            return convert(text)
    return text


_NUMBERS: Final[tuple[tuple[object, re.Pattern[str], Callable[[str], float], str], ...]] = (
    (GraphQLInt, _INT, int, "whole number"),
    (GraphQLFloat, _FLOAT, float, "number"),
)


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
