"""The body of a request: its bytes, its media type, what it says."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from core.errors import InvalidInput, PayloadTooLarge
from core.payloads import inflate, refuse_nesting
from rest_compat.endpoints import Endpoint, Place

FORM_FIELDS_MAX: Final = 1000
ABSENT: Final = object()
_THREAD_FROM_BYTES: Final = 128 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_LENIENT: Final = frozenset({"", "text/plain", "text/json", "application/octet-stream"})


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


def media_type_of(request: Request) -> str:
    """Return the media type of the body without its parameters; empty when none is stated."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(endpoint: Endpoint, request: Request) -> None:
    """Raise InvalidInput about Content-Type for a body that this endpoint cannot read."""
    media_type = media_type_of(request)
    places = {item.place for item in endpoint.inputs}
    if Place.RAW in places or media_type in _LENIENT or is_json(media_type):
        return
    if media_type == _FORM and Place.LINES not in places:
        return
    if media_type in _NDJSON and Place.LINES in places:
        return
    wanted = (
        "application/x-ndjson or application/json" if Place.LINES in places else "application/json"
    )
    raise InvalidInput("Content-Type", f"{media_type[:80]!r} is not {wanted}")


def is_form(media_type: str) -> bool:
    """Whether the body is the fields of a form."""
    return media_type == _FORM


def is_json(media_type: str) -> bool:
    """Whether the body is said to be one JSON text."""
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def parse_lines(body: bytes) -> tuple[list[Any], list[int]]:
    """Return the JSON texts in a body, and the number of the line that each stands in.

    A body that opens an array is one JSON array. Raises InvalidInput that names the line.
    """
    if body.lstrip()[:1] == b"[":
        items = parse_json(body)
        return items, [1] * len(items)
    found: list[Any] = []
    numbers: list[int] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                found.append(parse_json(line))
            except InvalidInput as error:
                raise InvalidInput(f"line {number}", str(error.facts["reason"])) from None
            numbers.append(number)
    return found, numbers


_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""Half of a character: JavaScript writes it when it cuts a text within an emoji. An agent that
does must not be refused, or it goes silent."""


def parse_json(body: bytes) -> Any:
    """Return what the JSON says; ABSENT when there is none. Raises InvalidInput."""
    if not body.strip():
        return ABSENT
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        mended = _LONE_SURROGATE.sub(rb"\\ufffd", body)
        if mended == body:
            raise InvalidInput("body", f"is not JSON: {error}") from None
        return parse_json(mended)
    refuse_nesting(body, parsed)
    return parsed


def parse_form(body: bytes) -> Any:
    """Return the fields of a form as lists of texts; ABSENT when there is none."""
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise InvalidInput("body", "is not a form of at most 1000 fields in UTF-8") from None
    for name, text in pairs:
        fields.setdefault(name, []).append(text)
    return fields or ABSENT
