"""Each row of families.py is served as it says; streams beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.callers import Caller, Role
from rest_compat.adapter import build_routes
from rest_compat.catalog import load_catalog
from tests.rest_compat.families import ROWS, TICKS
from tests.rest_compat.family_schema import Row, toy
from tests.rest_compat.toy import KNOWN, World
from tests.rest_compat.toy_engine import ToyEngine


def client_of(folder: Path, document: str) -> TestClient:
    (folder / "toy.graphql").write_text(document, encoding="utf-8")
    schema = toy()

    async def caller_of(request: Any) -> Caller:
        return Caller(Role.OWNER, 1, user_id=KNOWN)

    routes = build_routes(
        load_catalog(schema, folder),
        engine=ToyEngine(schema),
        context_for=World,
        caller_of=caller_of,
        new_request_id=lambda: "r1",
        body_limit_bytes=1000,
    )
    return TestClient(Starlette(routes=routes))


@pytest.mark.parametrize("row", ROWS, ids=[row.about for row in ROWS])
def test_says(tmp_path: Path, row: Row) -> None:
    with client_of(tmp_path, row.document) as client:
        given = {"json": row.json} if row.content is None else {"content": row.content}
        answer = client.request(*row.request, headers=row.sent, **given)
    assert answer.status_code == row.status, answer.text
    for name, value in row.headers.items():
        assert answer.headers[name] == value
    body = orjson.loads(answer.content) if answer.content else None
    if isinstance(body, dict) and "code" in body:
        told = {key: body.get(key) for key in row.body}
        if "facts" in told:
            told["facts"] = {"field": body["facts"]["field"]}
        body = told
    assert body == row.body


def test_a_subscription_is_a_stream_of_events(tmp_path: Path) -> None:
    with client_of(tmp_path, TICKS % "SSE") as client:
        answer = client.get("/x?upTo=2")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text == ":\n\ndata: 1\n\ndata: 2\n\nevent: complete\ndata: {}\n\n"
        broken = client.get("/x?upTo=9").text
    *_, last = broken.strip().split("\n\n")
    assert last.startswith("event: error\ndata: {")
    assert orjson.loads(last.partition("data: ")[2])["code"] == "CONFLICT"


def test_a_subscription_is_json_lines_also_by_post(tmp_path: Path) -> None:
    document = """subscription S($text: String!) @rest(post: "/x", codec: NDJSON) {
      chat(text: $text) }"""
    with client_of(tmp_path, document) as client:
        answer = client.post("/x", json={"text": "good morning"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text == '\n{"delta":"good"}\n{"delta":"morning"}\n'


def test_a_list_is_json_lines(tmp_path: Path) -> None:
    document = 'query Q @rest(get: "/x", codec: NDJSON) { things { id name } }'
    with client_of(tmp_path, document) as client:
        answer = client.get("/x")
        etag = answer.headers["etag"]
        again = client.get("/x", headers={"If-None-Match": etag})
    assert answer.content == b'{"id":"7","name":"press"}\n'
    assert (again.status_code, again.content) == (304, b"")
