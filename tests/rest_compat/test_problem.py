from __future__ import annotations

import logging

import orjson
import pytest
from starlette.testclient import TestClient

from core.errors import AppError, Conflict, ErrorCode, InvalidInput, Unauthenticated
from rest_compat.catalog import _with_directive
from rest_compat.endpoints import Answering, ErrorTitle
from rest_compat.problem import KINDS, PROBLEM_JSON, problem_response
from tests.rest_compat.harness import served


def test_the_table_and_the_directive_know_every_code() -> None:
    codes = {code.value for code in ErrorCode}
    assert {code.value for code in KINDS} == codes
    extended, _ = _with_directive(served()[0])
    assert set(extended.type_map["RestErrorCode"].values) == codes  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_its_status_and_its_two_languages(
    client: TestClient, code: ErrorCode
) -> None:
    answer = client.get(f"/api/v1/fail/{code}")
    body = answer.json()
    assert answer.status_code == body["status"] == KINDS[code].status
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert body["code"] == code
    assert body["type"] == f"urn:fleetgraph:error:{code.lower().replace('_', '-')}"
    assert body["title"] == KINDS[code].title
    assert body["error"] == KINDS[code].error
    assert body["message"] == body["detail"]
    assert body["requestId"] == answer.headers["x-request-id"] == "made-here"


def test_facts_become_members_and_headers(client: TestClient) -> None:
    limited = client.get("/api/v1/fail/RATE_LIMITED")
    assert limited.headers["retry-after"] == "60"
    assert limited.json()["retryAfter"] == "1 minute"
    assert client.get("/api/v1/fail/UNAVAILABLE").headers["retry-after"] == "5"
    assert client.get("/api/v1/fail/LIMIT_REACHED").json()["facts"] == {"limit": 3, "used": 3}
    assert client.get("/api/v1/fail/UNAUTHENTICATED").headers["www-authenticate"] == "Bearer"
    told = problem_response(
        Unauthenticated("x", www_authenticate='Basic realm="a"'), request_id="r"
    )
    assert told.headers["www-authenticate"] == 'Basic realm="a"'


@pytest.mark.parametrize("how", ["INTERNAL", "unexpected"])
def test_the_unexpected_is_logged_and_masked(
    client: TestClient, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get(f"/api/v1/fail/{how}")
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL"
    assert "secret" not in answer.text
    assert "made-here" in answer.json()["message"]
    assert "Traceback" in caplog.text
    assert "secret" in caplog.text
    assert caplog.records[0].request_id == "made-here"  # type: ignore[attr-defined]
    assert len(caplog.records) == 1


def test_an_expected_error_is_not_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/api/v1/fail/NOT_FOUND")
    client.get("/api/v1/agents?limit=x")
    assert [r for r in caplog.records if r.name == "fleetgraph.rest"] == []


def test_facts_that_are_no_json_are_told_as_text() -> None:
    odd = problem_response(AppError("x", a=object, b={1, 2}), request_id="r")
    assert odd.status_code == 500
    assert "facts" not in orjson.loads(odd.body)  # what INTERNAL knows is not told
    conflict = problem_response(Conflict("x", a=object, b={1}), request_id="r")
    assert orjson.loads(conflict.body)["facts"]["b"] == "{1}"


def test_a_null_for_what_cannot_be_null_names_the_input(client: TestClient) -> None:
    answer = client.post("/api/v1/agents", json={"deviceName": None})
    assert answer.json()["message"] == "deviceName: must not be null"
    assert answer.json()["success"] is False
    assert client.post("/api/v1/agents", json={}).json()["message"] == "deviceName: is required"


def test_a_title_for_a_field_holds_for_its_parts_only() -> None:
    titles = (
        ErrorTitle(ErrorCode.INVALID_INPUT, "Bad apps", field="apps", status=422),
        ErrorTitle(ErrorCode.INVALID_INPUT, "Bad"),
    )
    told = {}
    for field in ("apps", "apps[0]", "apps.name", "apps2", "other"):
        error = InvalidInput(field, "x")
        response = problem_response(error, request_id="r", answering=Answering(errors=titles))
        told[field] = (response.status_code, orjson.loads(response.body)["error"])
    assert told == {
        "apps": (422, "Bad apps"),
        "apps[0]": (422, "Bad apps"),
        "apps.name": (422, "Bad apps"),
        "apps2": (400, "Bad"),
        "other": (400, "Bad"),
    }
