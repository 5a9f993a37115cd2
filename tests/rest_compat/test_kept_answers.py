"""When an Idempotency-Key is given back, and when it stays taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.callers import Caller, Role
from core.errors import Conflict
from rest_compat.adapter import build_routes
from rest_compat.catalog import load_catalog
from rest_compat.kept_answers import KeptAnswer
from tests.rest_compat.family_schema import thing, toy
from tests.rest_compat.toy import KNOWN, World
from tests.rest_compat.toy_engine import ToyEngine

HEADERS = {"Idempotency-Key": "k"}
MAKE = """mutation M($name: String!) @rest(post: "/x") {
  make(name: $name) { name email tags { key } }
}"""
SEVERAL = """mutation M($name: String!) @rest(post: "/x", object: true) {
  first: make(name: $name) { name }
  second: make(name: "bad") { name }
}"""


class Taken:
    """Keys in memory."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def begin(
        self, caller: Caller, endpoint: str, key: str, request: bytes
    ) -> KeptAnswer | None:
        if key in self.keys:
            raise Conflict("taken")
        self.keys.add(key)
        return None

    async def keep(self, caller: Caller, endpoint: str, key: str, answer: KeptAnswer) -> None:
        pass

    async def release(self, caller: Caller, endpoint: str, key: str) -> None:
        self.keys.remove(key)


def client_of(folder: Path, document: str, kept: Taken) -> TestClient:
    (folder / "toy.graphql").write_text(document, encoding="utf-8")
    schema = toy()
    schema.type_map["Mutation"].fields["make"].resolve = _make  # type: ignore[attr-defined]

    async def caller_of(request: Any) -> Caller:
        return Caller(Role.OWNER, 1, user_id=KNOWN)

    routes = build_routes(
        load_catalog(schema, folder),
        engine=ToyEngine(schema),
        context_for=World,
        caller_of=caller_of,
        new_request_id=lambda: "r1",
        kept=kept,
    )
    return TestClient(Starlette(routes=routes))


def _make(_: Any, info: Any, *, name: str) -> dict[str, Any]:
    if name == "bad":
        raise Conflict("nothing was made")
    # graphql-core raises an exception that stands where a value should.
    return thing(name=name, **({} if name == "good" else {name: Conflict("made, but")}))


@pytest.mark.parametrize("name", ["email", "tags"])
def test_what_fails_after_the_work_keeps_the_key(tmp_path: Path, name: str) -> None:
    kept = Taken()
    with client_of(tmp_path, MAKE, kept) as client:
        answer = client.post("/x", json={"name": name}, headers=HEADERS)
        assert (answer.status_code, answer.json()["message"]) == (409, "made, but")
    assert kept.keys == {"k"}


def test_a_key_is_taken_by_earlier_work_of_the_same_operation(tmp_path: Path) -> None:
    kept = Taken()
    with client_of(tmp_path, SEVERAL, kept) as client:
        assert client.post("/x", json={"name": "good"}, headers=HEADERS).status_code == 409
    assert kept.keys == {"k"}


@pytest.mark.parametrize("body", [{"name": "bad"}, {"name": 5}, {}])
def test_a_refusal_of_the_work_itself_gives_the_key_back(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    kept = Taken()
    with client_of(tmp_path, MAKE, kept) as client:
        assert client.post("/x", json=body, headers=HEADERS).status_code in {400, 409}
    assert not kept.keys
