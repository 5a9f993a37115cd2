"""The body of a request: its bytes, its media type, what it says."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from core.errors import InvalidInput, PayloadTooLarge
from core.inflating import Inflater
from core.payloads import mend_surrogates, refuse_nesting
from rest_compat.endpoints import Endpoint, Place

FORM_FIELDS_MAX: Final = 1000
ABSENT: Final = object()
_TURN_BYTES: Final = 64 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_LENIENT: Final = frozenset({"", "text/plain", "text/json", "application/octet-stream"})


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body without its compression. Raises PayloadTooLarge, InvalidInput."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:19]) > limit_bytes:
        raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
    inflater = Inflater(request.headers.get("content-encoding"), limit_bytes)
    room = limit_bytes
    async for part in request.stream():
        room -= len(part)
        if room < 0:
            raise PayloadTooLarge("Body", limit_bytes=limit_bytes)
        for start in range(0, len(part), _TURN_BYTES):
            inflater.feed(part[start : start + _TURN_BYTES])
            if len(part) > _TURN_BYTES:
                await asyncio.sleep(0)  # others get their turn
    return inflater.finish()


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


def parse_json(body: bytes) -> Any:
    """Return what the JSON says; ABSENT when there is none. Raises InvalidInput."""
    if not body.strip():
        return ABSENT
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        whole = mend_surrogates(body)
        if whole == body:
            raise InvalidInput("body", f"is not JSON: {error}") from None
        return parse_json(whole)
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
