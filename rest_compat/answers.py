"""From the operation's data to the answer: envelope, status, headers, codec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from graphql import get_named_type
from starlette.responses import Response

from core.errors import NotFound
from rest_compat.answer_rules import is_control
from rest_compat.endpoints import Answering, Codec, Endpoint, Envelope
from rest_compat.rows import with_rows

JSON_MEDIA_TYPE: Final = "application/json"
_ETAGS: Final = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')
_ETAG_TEXT: Final = re.compile(r"[\x21\x23-\x7e]+")
_LINE_BREAKS: Final = re.compile(r"[\r\n\0]+")


def to_response(
    endpoint: Endpoint, data: Mapping[str, Any], path: Mapping[str, str], if_none_match: str | None
) -> Response:
    """Return the answer for the data of a successful execution.

    Raises NotFound when the root field that makes the body is null.
    """
    answering = endpoint.answering
    roots, control = _split(data)
    root = roots.get(endpoint.root_key)
    if root is None and endpoint.missing_is_not_found:
        raise NotFound(_noun(endpoint), next(iter(path.values()), "here"))
    value: Any = roots if answering.envelope is Envelope.OBJECT else root
    if isinstance(root, dict) and answering.envelope is not Envelope.OBJECT:
        value, inner = _split(root)
        control = {**inner, **control}
    headers = _headers(answering, control)
    if answering.codec is Codec.ETAG:
        etag = _etag_text(control.get("_etag"))
        return _etag_response(_written(value["document"]), etag, headers, if_none_match)
    status = _status(answering, control)
    if answering.codec is Codec.TEXT:
        return Response(
            "" if value is None else str(value),
            status_code=status,
            media_type="text/plain",
            headers=headers,
        )
    if answering.envelope is Envelope.NONE:
        return Response(status_code=status, headers=headers)
    body = _written(_enveloped(answering, value))
    return Response(body, status_code=status, media_type=JSON_MEDIA_TYPE, headers=headers)


def not_modified(etag: str | None, body_bytes: int | None, headers: Mapping[str, str]) -> Response:
    """Return an empty 304; `body_bytes` is the size of the body not sent, when known."""
    extra = {} if etag is None else {"ETag": f'"{etag}"'}
    if body_bytes is not None:
        extra["X-Content-Length"] = str(body_bytes)
    return Response(status_code=304, headers={**headers, **extra})


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag`: bare, quoted, weak, in a list, or by `*`."""
    if not if_none_match:
        return False
    if if_none_match.strip() in {"*", etag}:
        return True
    named = (quoted or bare for quoted, bare in _ETAGS.findall(if_none_match))
    return any(each == etag for each in named)


def _etag_response(
    body: bytes, etag: str | None, headers: dict[str, str], if_none_match: str | None
) -> Response:
    if etag is not None and etag_matches(if_none_match, etag):
        return not_modified(etag, len(body), headers)
    if etag is not None:
        headers["ETag"] = f'"{etag}"'
    return Response(body, media_type=JSON_MEDIA_TYPE, headers=headers)


def _etag_text(value: object) -> str | None:
    text = str(value)
    return text if value is not None and _ETAG_TEXT.fullmatch(text) else None


def _split(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    plain: dict[str, Any] = {}
    control: dict[str, Any] = {}
    for key, member in value.items():
        (control if is_control(key) else plain)[key] = member
    return plain, control


def _status(answering: Answering, control: Mapping[str, Any]) -> int:
    if answering.outcome is None:
        return answering.status
    value = control.get(answering.outcome)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in answering.outcomes:
        return answering.outcomes[text]
    if isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 299:
        return value
    return answering.status


def _headers(answering: Answering, control: Mapping[str, Any]) -> dict[str, str]:
    found = {header: control.get(member) for header, member in answering.response_headers}
    return {
        header: _LINE_BREAKS.sub(" ", str(value)).encode("latin-1", "replace").decode("latin-1")
        for header, value in found.items()
        if value is not None
    }


def _enveloped(answering: Answering, value: Any) -> Any:
    if answering.rows is not None:
        value = with_rows(value, answering.rows.member, answering.rows.newest_by)
    for path in answering.omit_null:
        value = _without_null(value, path)
    if answering.count is not None and isinstance(value, dict):
        value = {"count": len(value.get(answering.count) or ()), **value}
    message = {} if answering.message is None else {"message": answering.message}
    members = value if isinstance(value, dict) else {}
    if answering.envelope is Envelope.DATA:
        return {**message, "data": value} if isinstance(value, dict | list) else message
    if answering.envelope is Envelope.SUCCESS:
        return {"success": True, **message, **members}
    if answering.envelope is Envelope.STATUS:
        return {"status": "ok", **message, **members}
    if answering.envelope is Envelope.LIST:
        return _bare_list(value)
    return value


def _bare_list(value: Any) -> Any:
    while isinstance(value, dict):
        value = next((member for key, member in value.items() if not is_control(key)), [])
    return value or []


def _without_null(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without_null(each, path) for each in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) > 1:
        return {**value, path[0]: _without_null(value[path[0]], path[1:])}
    if value[path[0]] is None:
        return {key: member for key, member in value.items() if key != path[0]}
    return value


def _written(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _noun(endpoint: Endpoint) -> str:
    return str(get_named_type(endpoint.root_type)).lower()
