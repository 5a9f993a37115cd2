"""Options of `@rest` that do not fit their operation stop the start, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from rest_compat.catalog import CatalogError, load_catalog
from tests.rest_compat.family_schema import toy

SCHEMA = toy()
PUT = "mutation M($id: ID!, $v: Int) @rest(%s) { put(id: $id, version: $v) { name } }"
PAGE = 'query Q($after: String) @rest(get: "/x", %s) { page(after: $after) { total _next: next } }'
SAY = 'mutation M($body: JSON) @rest(post: "/x", body: "body", %s) { say(body: $body) }'
FIXED = 'query Q($g: Granularity!) @rest(get: "/x", fixed: [%s]) { bucket(granularity: $g) }'
TICKS = "subscription S($n: Int!) @rest(%s) { ticks(upTo: $n) }"
THINGS = 'query Q @rest(get: "/x", %s) { things { id name tags { key value } } }'

WRONG = [
    (PUT % 'post: "/x/{id}", ifMatch: "v"', "ifMatch is for PUT, PATCH and DELETE"),
    (PUT % 'put: "/x/{v}", ifMatch: "id"', "$id must be nullable"),
    (PUT % 'put: "/x/{id}", ifMatch: "w"', "no variable $w"),
    (PUT % 'put: "/x/{id}", lines: "v"', "$v must be a list"),
    (PUT % 'put: "/x/{id}", body: "v", lines: "v"', "one of `body`, `raw` and `lines`"),
    (PUT % 'delete: "/x/{id}", bodyLimit: 5', "bodyLimit needs a body"),
    (PUT % 'put: "/x/{id}", bodyLimit: 0', "at least one byte"),
    (PUT % 'put: "/x/{id}", anonymous: true', "anonymous goes with auth NONE"),
    (PUT % 'put: "/x/{id}", auth: NONE, idempotent: true', "idempotent needs a caller"),
    (THINGS % "idempotent: true", "idempotent is for mutations"),
    (FIXED % '{ variable: "g", value: "weekly" }', "$g cannot be 'weekly'"),
    (FIXED % '{ variable: "h", value: "DAILY" }', "no variable $h"),
    (PAGE % 'next: { variable: "page", member: "_next" }', "$page does not come from the query"),
    (PAGE % 'next: { variable: "after", member: "_nxt" }', "no control member _nxt is selected"),
    (PAGE % 'next: { variable: "after", member: "_next", if: "_m" }', "no control member _m"),
    (THINGS % 'keyed: [{ by: "uuid" }]', "uuid is not selected"),
    (THINGS % 'keyed: [{ at: "tag", by: "key" }]', "tag is not selected"),
    (THINGS % 'object: true, keyed: [{ by: "id" }]', "say where, with `at`"),
    (THINGS % 'object: true, keyed: [{ at: "things.tags", by: "key", value: "v" }]', "v is not"),
    (THINGS % "envelope: SUCCESS", "say `object: true`"),
    (THINGS % "requestId: true", "requestId needs an object"),
    (THINGS % "codec: SSE", "codec SSE needs a subscription"),
    ('query Q @rest(get: "/x", codec: NDJSON) { thing { id } }', "a list, or a subscription"),
    (TICKS % 'get: "/x"', "a subscription needs codec SSE or NDJSON"),
    (TICKS % 'put: "/x", codec: SSE', "answers to GET or POST"),
    (TICKS % 'get: "/x", codec: SSE, status: 201', "begins before its first event"),
    (
        SAY % 'errors: [{ code: CONFLICT, title: "t", members: [{ name: "code", fact: "x" }] }]',
        "'code' cannot be a member of an error",
    ),
    (
        SAY % 'errors: [{ code: CONFLICT, title: "t", members: [{ name: "a..b", fact: "x" }] }]',
        "'a..b' cannot be a member",
    ),
    (SAY % 'outcome: "_x", outcomes: [{ is: "a", status: 404 }]', "404 is not the status"),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[words for _, words in WRONG])
def test_refuses(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "toy.graphql").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as caught:
        load_catalog(SCHEMA, tmp_path)
    assert any(words in problem for problem in caught.value.problems), caught.value.problems
    assert all(problem.startswith("toy.graphql:1:") for problem in caught.value.problems)
