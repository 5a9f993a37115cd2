"""From the operation's value to what legacy clients read: rows, keys, counts, envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_compat.answer_rules import is_control
from rest_compat.endpoints import Answering, Envelope, Keyed
from rest_compat.rows import with_rows


def split(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members for the body, and those that control the answer."""
    plain: dict[str, Any] = {}
    control: dict[str, Any] = {}
    for key, member in value.items():
        (control if is_control(key) else plain)[key] = member
    return plain, control


def value_of(answering: Answering, data: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the value for the body, and the control members."""
    roots, control = split(data)
    values: dict[str, Any] = {}
    inner: dict[str, Any] = {}
    for key, root in roots.items():
        values[key] = root
        if isinstance(root, dict):
            values[key], found = split(root)
            inner |= found
    value = values if answering.is_object else next(iter(values.values()), None)
    return value, {**inner, **control}


def shaped(answering: Answering, value: Any, *, message: str | None, request_id: str) -> Any:
    """Return the body; None where the envelope has no body."""
    if answering.rows is not None:
        value = with_rows(value, answering.rows.member, answering.rows.newest_by)
    count = {}
    if answering.count is not None and isinstance(value, dict):
        count = {"count": len(value.get(answering.count) or ())}
    for path in answering.omit_null:
        value = _without_null(value, path)
    for keyed in answering.keyed:
        value = _keyed(value, keyed.at, keyed)
    if count:
        value = {**count, **value}
    body = _enveloped(answering, value, {} if message is None else {"message": message})
    if answering.tells_request_id and isinstance(body, dict):
        return {**body, "requestId": request_id}
    return body


def bare_list(value: Any) -> list[Any]:
    """Return the list in a value of objects around one list; nothing counts as no items."""
    while isinstance(value, dict):
        value = next((member for key, member in value.items() if not is_control(key)), [])
    return value or []


def _enveloped(answering: Answering, value: Any, message: dict[str, str]) -> Any:
    members = value if isinstance(value, dict) else {}
    match answering.envelope:
        case Envelope.DATA:
            return {**message, "data": value} if isinstance(value, dict | list) else message
        case Envelope.SUCCESS:
            return {"success": True, **message, **members}
        case Envelope.STATUS:
            return {"status": "ok", **message, **members}
        case Envelope.LIST:
            return bare_list(value)
        case Envelope.NONE:
            return None
    return value


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


def _keyed(value: Any, at: tuple[str, ...], keyed: Keyed) -> Any:
    if at:
        if isinstance(value, list):
            return [_keyed(each, at, keyed) for each in value]
        if not isinstance(value, dict) or at[0] not in value:
            return value
        return {**value, at[0]: _keyed(value[at[0]], at[1:], keyed)}
    if value is None:
        return None
    found = {}
    for each in value if isinstance(value, list) else [value]:
        rest = {key: member for key, member in each.items() if key != keyed.by}
        found[str(each[keyed.by])] = rest if keyed.value is None else rest[keyed.value]
    return found
