"""The rules for the answering half of `@rest`: envelope, codec, status, control members."""

from __future__ import annotations

import re
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
from rest_compat.endpoints import (
    PROBLEM_MEMBERS,
    Answering,
    Codec,
    Envelope,
    ErrorTitle,
    Fallback,
    Keyed,
    NextPage,
    Rows,
)
from rest_compat.mistakes import Mistake
from rest_compat.selections import Fragments, Member, below

_MEMBER = re.compile(r"[A-Za-z_]\w*(\[\])?(\.[A-Za-z_]\w*(\[\])?)*")
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
    is_object = bool(options["object"])
    _, root = answered_root(roots)
    if not is_object and sum(not is_control(key) for key in roots) > 1:
        raise Mistake("several root fields reach the body: say `object: true`")
    inside = below(schema, root, fragments)
    body = dict(roots) if is_object else inside
    outcomes = options.get("outcomes") or ()
    answer = Answering(
        status=_status(options, envelope),
        outcome=options.get("outcome"),
        outcomes={each["is"]: each["status"] for each in outcomes},
        messages={each["is"]: each["message"] for each in outcomes if each.get("message")},
        codec=Codec(options["codec"]),
        envelope=envelope,
        is_object=is_object,
        message=options.get("message"),
        tells_request_id=options["requestId"],
        count=options.get("count"),
        rows=_rows(options.get("rows")),
        keyed=tuple(_keyed(each) for each in options.get("keyed") or ()),
        next_page=_next_page(options.get("next")),
        omit_null=tuple(tuple(path.split(".")) for path in options.get("omitNull") or ()),
        response_headers=tuple(
            (each["name"], each["member"]) for each in options.get("responseHeaders") or ()
        ),
        errors=tuple(_error_title(each) for each in options.get("errors") or ()),
        when_unavailable=Fallback(options["whenUnavailable"]),
    )
    _check_envelope(schema, answer, root, body, fragments)
    _check_codec(answer, root, inside, method)
    control = {
        key: each
        for key, each in {**_inner(schema, roots, fragments), **roots}.items()
        if is_control(key)
    }
    _check_control(answer, control)
    _check_members(schema, answer, root, body, fragments)
    if answer.when_unavailable is Fallback.NOT_MODIFIED and method != "GET":
        raise Mistake("whenUnavailable: NOT_MODIFIED is for GET")
    if answer.when_unavailable is Fallback.ACCEPT and method == "GET":
        raise Mistake("whenUnavailable: ACCEPT is not for GET")
    return answer


def _inner(
    schema: GraphQLSchema, roots: Mapping[str, Member], fragments: Fragments
) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for key, root in roots.items():
        if not is_control(key) and not is_list_type(get_nullable_type(root.type)):
            found |= below(schema, root, fragments)
    return found


def _status(options: Mapping[str, Any], envelope: Envelope) -> int:
    status = options.get("status") or (204 if envelope is Envelope.NONE else 200)
    others = [entry["status"] for entry in options.get("outcomes") or ()]
    for each in (status, *(other for other in others if other != 503)):
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
    members = tuple((each["name"], each["fact"]) for each in entry.get("members") or ())
    for name, _ in members:
        if not _MEMBER.fullmatch(name) or name.partition(".")[0] in PROBLEM_MEMBERS:
            raise Mistake(f"{name!r} cannot be a member of an error")
    return ErrorTitle(
        ErrorCode(entry["code"]),
        entry["title"],
        entry.get("field"),
        status,
        entry.get("fact"),
        members,
    )


def _keyed(entry: Mapping[str, Any]) -> Keyed:
    at = entry.get("at")
    return Keyed(tuple(at.split(".")) if at else (), entry["by"], entry.get("value"))


def _next_page(entry: Mapping[str, Any] | None) -> NextPage | None:
    return NextPage(entry["variable"], entry["member"], entry.get("if")) if entry else None


def _check_envelope(
    schema: GraphQLSchema,
    answer: Answering,
    root: Member,
    body: Mapping[str, Member],
    fragments: Fragments,
) -> None:
    has_message = answer.message is not None or answer.messages
    if has_message and answer.envelope not in _WITH_MESSAGE:
        raise Mistake(f"envelope {answer.envelope} has no message")
    is_list = not answer.is_object and is_list_type(get_nullable_type(root.type))
    is_keyed = any(not keyed.at for keyed in answer.keyed)
    if answer.envelope in {Envelope.SUCCESS, Envelope.STATUS} and is_list and not is_keyed:
        raise Mistake(f"envelope {answer.envelope} needs an object; say `object: true`")
    if answer.envelope is Envelope.LIST:
        _check_list(schema, root, body, fragments)
    if answer.tells_request_id and (answer.envelope is Envelope.LIST or is_list):
        raise Mistake("requestId needs an object as the answer")
    if answer.count is None and answer.rows is None:
        return
    if is_list or answer.envelope is Envelope.NONE:
        raise Mistake("count and rows need an object as the answer")
    if answer.count is not None and answer.envelope is Envelope.LIST:
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
    is_list = is_list_type(get_nullable_type(root.type))
    is_leaf = is_leaf_type(get_named_type(root.type)) and not is_list
    is_plain = answer.envelope is Envelope.ROOT_FIELD and not answer.is_object
    if answer.codec in {Codec.ETAG, Codec.TEXT} and not is_plain:
        raise Mistake(f"codec {answer.codec} goes with envelope ROOT_FIELD")
    if answer.codec is Codec.TEXT and not is_leaf:
        raise Mistake("codec TEXT needs a root field that is a text")
    if answer.codec is Codec.ETAG and (method != "GET" or set(inside) < {"_etag", "document"}):
        raise Mistake("codec ETAG is for GET and needs `_etag` and `document` in the root field")


def check_stream(schema: GraphQLSchema, answer: Answering, root: Member, *, follows: bool) -> None:
    """Check the codec of a stream against the operation. Raises Mistake."""
    if not follows:
        if answer.codec is Codec.SSE:
            raise Mistake("codec SSE needs a subscription")
        if answer.codec is Codec.NDJSON and not is_list_type(get_nullable_type(root.type)):
            raise Mistake("codec NDJSON needs a root field that is a list, or a subscription")
        return
    if answer.codec not in {Codec.SSE, Codec.NDJSON}:
        raise Mistake("a subscription needs codec SSE or NDJSON")
    if answer.status != 200 or answer.outcome or answer.response_headers or answer.next_page:
        raise Mistake("the answer to a subscription begins before its first event")


def _check_control(answer: Answering, control: Mapping[str, Member]) -> None:
    wanted = [member for _, member in answer.response_headers]
    if answer.outcome:
        wanted.append(answer.outcome)
    if answer.next_page is not None:
        wanted.append(answer.next_page.member)
        wanted += [answer.next_page.when] if answer.next_page.when else []
    for name in wanted:
        if name not in control:
            hint = did_you_mean(suggestion_list(name, list(control)), "member")
            raise Mistake(f"no control member {name} is selected.{hint}")
    if answer.outcomes and not answer.outcome:
        raise Mistake("outcomes need an outcome")


def _check_members(
    schema: GraphQLSchema,
    answer: Answering,
    root: Member,
    body: Mapping[str, Member],
    fragments: Fragments,
) -> None:
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
    for keyed in answer.keyed:
        if keyed.at:
            _member_at(schema, keyed.at, body, fragments)
        elif answer.is_object:
            raise Mistake("keyed: with `object: true` say where, with `at`")
        _member_at(schema, (*keyed.at, keyed.by), body, fragments)
        if keyed.value is not None:
            _member_at(schema, (*keyed.at, keyed.value), body, fragments)


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
