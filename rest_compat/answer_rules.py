"""The rules for the answering half of `@rest`: envelope, codec, status, control members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)
from graphql.pyutils import did_you_mean, suggestion_list

from core.errors import ErrorCode
from rest_compat.endpoints import Answering, Codec, Envelope, ErrorTitle, Fallback, Rows
from rest_compat.mistakes import Mistake
from rest_compat.selections import Fragments, Member, below

_WITH_MESSAGE = frozenset({Envelope.DATA, Envelope.SUCCESS, Envelope.STATUS})


def is_control(key: str) -> bool:
    """Whether a member controls the answer instead of being part of it."""
    return key.startswith("_") and not key.startswith("__")


def answered_root(roots: Mapping[str, Member]) -> tuple[str, Member]:
    """Return the first root field that reaches the body. Raises Mistake if there is none."""
    for key, member in roots.items():
        if not is_control(key):
            return key, member
    raise Mistake("no root field reaches the body")


def answering(
    schema: GraphQLSchema,
    options: Mapping[str, Any],
    roots: Mapping[str, Member],
    fragments: Fragments,
    method: str,
) -> Answering:
    """Return the answering options, checked against what is selected. Raises Mistake."""
    envelope = Envelope(options["envelope"])
    _, root = answered_root(roots)
    if envelope is not Envelope.OBJECT and sum(not is_control(key) for key in roots) > 1:
        raise Mistake(f"envelope {envelope} takes one root field; OBJECT takes more")
    inside = below(schema, root, fragments)
    body = dict(roots) if envelope is Envelope.OBJECT else inside
    answer = Answering(
        status=_status(options, envelope),
        outcome=options.get("outcome"),
        outcomes={each["is"]: each["status"] for each in options.get("outcomes") or ()},
        codec=Codec(options["codec"]),
        envelope=envelope,
        message=options.get("message"),
        count=options.get("count"),
        rows=_rows(options.get("rows")),
        omit_null=tuple(tuple(path.split(".")) for path in options.get("omitNull") or ()),
        response_headers=tuple(
            (each["name"], each["member"]) for each in options.get("responseHeaders") or ()
        ),
        errors=tuple(_error_title(each) for each in options.get("errors") or ()),
        when_unavailable=Fallback(options["whenUnavailable"]),
    )
    _check_envelope(schema, answer, root, inside, fragments)
    _check_codec(answer, root, inside, method)
    _check_members(schema, answer, {**inside, **roots}, body, fragments)
    if answer.when_unavailable is Fallback.NOT_MODIFIED and method != "GET":
        raise Mistake("whenUnavailable: NOT_MODIFIED is for GET")
    if answer.when_unavailable is Fallback.ACCEPT and method == "GET":
        raise Mistake("whenUnavailable: ACCEPT is not for GET")
    return answer


def _status(options: Mapping[str, Any], envelope: Envelope) -> int:
    status = options.get("status") or (204 if envelope is Envelope.NONE else 200)
    for each in (status, *(entry["status"] for entry in options.get("outcomes") or ())):
        if not 200 <= each <= 299:
            raise Mistake(f"{each} is not the status of a success")
        if each == 204 and envelope is not Envelope.NONE:
            raise Mistake("204 has no body; use envelope NONE")
    return int(status)


def _rows(entry: Mapping[str, Any] | None) -> Rows | None:
    return Rows(entry["member"], entry.get("newestBy")) if entry else None


def _error_title(entry: Mapping[str, Any]) -> ErrorTitle:
    status = entry.get("status")
    if status is not None and not 400 <= status <= 599:
        raise Mistake(f"{status} is not the status of an error")
    return ErrorTitle(ErrorCode(entry["code"]), entry["title"], entry.get("field"), status)


def _check_envelope(
    schema: GraphQLSchema,
    answer: Answering,
    root: Member,
    inside: Mapping[str, Member],
    fragments: Fragments,
) -> None:
    if answer.message is not None and answer.envelope not in _WITH_MESSAGE:
        raise Mistake(f"envelope {answer.envelope} has no message")
    is_list = is_list_type(get_nullable_type(root.type))
    if answer.envelope in {Envelope.SUCCESS, Envelope.STATUS} and is_list:
        raise Mistake(f"envelope {answer.envelope} needs an object, not a list")
    if answer.envelope is Envelope.LIST:
        _check_list(schema, root, inside, fragments)
    if answer.count is None and answer.rows is None:
        return
    if is_list or answer.envelope in {Envelope.LIST, Envelope.NONE}:
        raise Mistake("count and rows need an object as the answer")


def _check_list(
    schema: GraphQLSchema, root: Member, inside: Mapping[str, Member], fragments: Fragments
) -> None:
    while not is_list_type(get_nullable_type(root.type)):
        plain = [member for key, member in inside.items() if not is_control(key)]
        if len(plain) != 1:
            raise Mistake("envelope LIST needs a list, or objects of one member around one")
        root = plain[0]
        inside = below(schema, root, fragments)


def _check_codec(
    answer: Answering, root: Member, inside: Mapping[str, Member], method: str
) -> None:
    is_leaf = is_leaf_type(get_named_type(root.type)) and not is_list_type(
        get_nullable_type(root.type)
    )
    if answer.codec is not Codec.JSON and answer.envelope is not Envelope.ROOT_FIELD:
        raise Mistake(f"codec {answer.codec} goes with envelope ROOT_FIELD")
    if answer.codec is Codec.TEXT and not is_leaf:
        raise Mistake("codec TEXT needs a root field that is a text")
    if answer.codec is Codec.ETAG and (method != "GET" or set(inside) < {"_etag", "document"}):
        raise Mistake("codec ETAG is for GET and needs `_etag` and `document` in the root field")


def _check_members(
    schema: GraphQLSchema,
    answer: Answering,
    all_members: Mapping[str, Member],
    body: Mapping[str, Member],
    fragments: Fragments,
) -> None:
    control = [key for key in all_members if is_control(key)]
    wanted = [member for _, member in answer.response_headers]
    for name in [answer.outcome, *wanted] if answer.outcome else wanted:
        if name not in control:
            hint = did_you_mean(suggestion_list(name, control), "member")
            raise Mistake(f"no control member {name} is selected.{hint}")
    if answer.outcomes and not answer.outcome:
        raise Mistake("outcomes need an outcome")
    rows = answer.rows
    if rows is not None:
        _member_at(schema, (rows.member,), body, fragments)
        if rows.newest_by is not None:
            _member_at(schema, (rows.member, rows.newest_by), body, fragments)
    if answer.count is not None and (rows is None or answer.count != rows.member):
        counted = _member_at(schema, (answer.count,), body, fragments)
        if not is_list_type(get_nullable_type(counted.type)):
            raise Mistake(f"count: {answer.count} is not a list")
    for path in answer.omit_null:
        _member_at(schema, path, body, fragments)


def _member_at(
    schema: GraphQLSchema,
    path: tuple[str, ...],
    members: Mapping[str, Member],
    fragments: Fragments,
) -> Member:
    found = None
    for key in path:
        if key not in members:
            hint = did_you_mean(suggestion_list(key, list(members)), "member")
            raise Mistake(f"{'.'.join(path)} is not selected.{hint}")
        found = members[key]
        members = below(schema, found, fragments)
    assert found is not None
    return found
