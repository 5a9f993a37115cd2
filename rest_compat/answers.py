"""From the operation's data to the answer: status, headers, codec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import orjson
from graphql import get_named_type
from starlette.requests import Request
from starlette.responses import Response

from core.errors import NotFound
from rest_compat.endpoints import Answering, Codec, Endpoint, Envelope
from rest_compat.etags import etag_matches, etag_of_bytes, etag_text, not_modified
from rest_compat.shaping import bare_list, shaped, value_of

JSON_MEDIA_TYPE: Final = "application/json"
NDJSON_MEDIA_TYPE: Final = "application/x-ndjson"
_LINE_BREAKS: Final = re.compile(r"[\r\n\0]+")


def to_response(
    endpoint: Endpoint, data: Mapping[str, Any], request: Request, request_id: str
) -> Response:
    """Return the answer for the data of a successful execution.

    Raises NotFound when the root field that makes the body is null.
    """
    answering = endpoint.answering
    if data.get(endpoint.root_key) is None and endpoint.missing_is_not_found:
        raise NotFound(_noun(endpoint), next(iter(request.path_params.values()), "here"))
    value, control = value_of(answering, data)
    outcome = _text(control.get(answering.outcome)) if answering.outcome else ""
    status = _status(answering, outcome)
    headers = _headers(answering, control)
    if answering.next_page is not None:
        headers |= _link(endpoint, control, request)
    etag = etag_text(control.get("_etag"))
    if answering.envelope is Envelope.NONE:
        headers |= {} if etag is None else {"ETag": f'"{etag}"'}
        return Response(status_code=status, headers=headers)
    if answering.codec is Codec.TEXT:
        body = ("" if value is None else str(value)).encode()
    elif answering.codec is Codec.NDJSON:
        body = b"".join(written(each) + b"\n" for each in bare_list(value))
    elif answering.codec is Codec.ETAG:
        body = written(value["document"])
    else:
        message = answering.messages.get(outcome, answering.message)
        body = written(shaped(answering, value, message=message, request_id=request_id))
    if endpoint.method == "GET" and status == 200 and answering.codec is not Codec.ETAG:
        etag = etag or etag_of_bytes(body)
    if etag is not None:
        if endpoint.method == "GET" and etag_matches(request.headers.get("if-none-match"), etag):
            size = len(body) if answering.codec is Codec.ETAG else None
            return not_modified(etag, size, headers)
        headers["ETag"] = f'"{etag}"'
    return Response(body, status, media_type=_MEDIA_TYPES[answering.codec], headers=headers)


_MEDIA_TYPES: Final = {
    Codec.JSON: JSON_MEDIA_TYPE,
    Codec.ETAG: JSON_MEDIA_TYPE,
    Codec.TEXT: "text/plain",
    Codec.NDJSON: NDJSON_MEDIA_TYPE,
}


def written(body: Any) -> bytes:
    """Return a value as JSON; NaN and infinities become null."""
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _status(answering: Answering, outcome: str) -> int:
    if outcome in answering.outcomes:
        return answering.outcomes[outcome]
    if outcome.isdecimal() and len(outcome) == 3 and outcome.startswith("2"):
        return int(outcome)
    return answering.status


def _headers(answering: Answering, control: Mapping[str, Any]) -> dict[str, str]:
    found = {header: control.get(member) for header, member in answering.response_headers}
    return {
        header: _LINE_BREAKS.sub(" ", str(value)).encode("latin-1", "replace").decode("latin-1")
        for header, value in found.items()
        if value is not None
    }


def _link(endpoint: Endpoint, control: Mapping[str, Any], request: Request) -> dict[str, str]:
    page = endpoint.answering.next_page
    assert page is not None
    value = control.get(page.member)
    if value is None or (page.when is not None and not control.get(page.when)):
        return {}
    query = [
        pair
        for pair in parse_qsl(request.url.query, keep_blank_values=True)
        if pair[0] != page.variable
    ]
    told = urlencode([*query, (page.variable, str(value))])
    return {"Link": f'<{request.url.path}?{told}>; rel="next"'}


def _noun(endpoint: Endpoint) -> str:
    return str(get_named_type(endpoint.root_type)).lower()
