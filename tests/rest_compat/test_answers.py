from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from rest_compat.etags import etag_matches
from tests.rest_compat.harness import Harness
from tests.rest_compat.toy import DOCUMENT, KNOWN

AGENTS = "/api/v1/agents"
POLL = f"/api/v1/device/{KNOWN}/state"
ROW = {
    "id": str(KNOWN),
    "uuid": str(KNOWN),
    "name": "press",
    "device_name": "press",
    "status": "ACTIVE",
    "lastSeen": "2026-01-02T00:00:00+00:00",
}


def test_the_root_field_is_the_answer(client: TestClient) -> None:
    answer = client.get(f"{AGENTS}/{KNOWN}")
    assert answer.json() == ROW
    assert answer.headers["content-type"] == "application/json"


def test_count_omitted_nulls_and_response_headers(client: TestClient) -> None:
    answer = client.get(AGENTS)
    body = answer.json()
    assert list(body) == ["count", "agents", "pagination"]
    assert body["count"] == 2
    assert "tags" not in body["agents"][0]
    assert body["agents"][1]["tags"] == {"a": None}
    assert answer.headers["x-total-count"] == "17"


def test_object_answers_all_root_fields(client: TestClient) -> None:
    answer = client.get(f"{AGENTS}/{KNOWN}/detail")
    assert answer.json() == {"device": ROW, "others": {"total": 17}}


def test_a_null_root_object_is_not_found(client: TestClient) -> None:
    other = "00000000-0000-4000-8000-000000000000"
    answer = client.get(f"{AGENTS}/{other}")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Device not found"
    assert answer.json()["message"] == f"agent {other} not found"
    assert client.get(f"{AGENTS}/{other}/detail").status_code == 404


def test_list_is_a_bare_array_and_a_plain_path_beats_a_variable(client: TestClient) -> None:
    body = client.get(f"{AGENTS}/names").json()
    assert isinstance(body, list)
    assert body[1] == {"name": "second"}
    body = client.get(f"{AGENTS}/names?withState=true").json()
    assert body[1] == {"name": "second", "state": "ACTIVE"}


def test_success_data_and_none(client: TestClient) -> None:
    made = client.post(AGENTS, json={"deviceName": "press"})
    assert made.status_code == 201
    assert list(made.json()) == ["success", "message", "device", "given"]
    assert made.json()["success"] is True
    body = client.put("/api/v1/agent-alias", json={"deviceName": "press"}).json()
    assert list(body) == ["message", "data"]
    assert list(body["data"]) == ["device", "given"]
    gone = client.delete(f"{AGENTS}/{KNOWN}")
    assert gone.status_code == 204
    assert gone.content == b""
    assert "content-type" not in gone.headers


def test_the_outcome_decides_the_status(client: TestClient) -> None:
    logs = f"/api/v1/device/{KNOWN}/logs"
    assert client.post(AGENTS, json={"deviceName": "old"}).status_code == 200
    assert client.post(logs, content=b"x").status_code == 202
    again = client.post(logs, content=b"x", headers={"X-Batch-Attempt": "2"})
    assert again.status_code == 200
    assert again.json() == {
        "batchId": "auto-generated",
        "accepted": True,
        "duplicate": True,
        "size": 1,
    }


def test_a_union_answers_what_the_value_is(client: TestClient) -> None:
    assert client.get("/api/v1/things/Riga").json() == {"__typename": "Place", "city": "Riga"}
    assert client.get("/api/v1/things/p").json() == {"__typename": "Agent", "name": "p"}


def test_text(client: TestClient) -> None:
    answer = client.get("/api/v1/motd")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "nobody made-here testclient"


def test_head_has_the_headers_of_get_and_no_body(client: TestClient) -> None:
    got = client.get(POLL)
    head = client.head(POLL)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.headers["etag"] == '"abc"'
    assert client.head("/api/v1/nowhere").content == b""


def test_a_document_carries_its_etag(client: TestClient) -> None:
    answer = client.get(POLL)
    assert answer.json() == DOCUMENT
    assert answer.headers["etag"] == '"abc"'


@pytest.mark.parametrize(
    "value", ['"abc"', "abc", 'W/"abc"', '"x", "abc"', 'W/"x",W/"abc"', "x, abc", "*", ' "abc" ']
)
def test_if_none_match_in_every_form_gets_an_empty_304(client: TestClient, value: str) -> None:
    answer = client.get(POLL, headers={"If-None-Match": value})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == '"abc"'
    assert answer.headers["x-content-length"] == client.get(POLL).headers["content-length"]


@pytest.mark.parametrize("value", ['"abcd"', "ab", '"ab"c', '""', ",", '"', 'W/"x"', '"x abc"'])
def test_another_etag_gets_the_document(client: TestClient, value: str) -> None:
    assert not etag_matches(value, "abc")
    assert client.get(POLL, headers={"If-None-Match": value}).json() == DOCUMENT


def test_a_known_etag_saves_the_execution(client: TestClient, harness: Harness) -> None:
    harness.etag = "abc"
    answer = client.get(POLL, headers={"If-None-Match": '"abc"'})
    assert answer.status_code == 304
    assert answer.headers["etag"] == '"abc"'
    assert harness.worlds == []
    assert harness.etags == [{"uuid": KNOWN}]
    assert client.get(POLL, headers={"If-None-Match": '"old"'}).json() == DOCUMENT
    harness.etag = None
    assert client.get(POLL, headers={"If-None-Match": '"abc"'}).status_code == 304
    assert harness.calls == ["device_state", "device_state"]


def test_columns_become_rows_newest_first(client: TestClient) -> None:
    url = f"/api/v1/readings/{KNOWN}"
    assert client.get(url).json() == {
        "count": 3,
        "agent_uuid": str(KNOWN),
        "readings": [
            {"time": 3, "metric_name": "a", "value": None, "unit": "°C"},
            {"time": 2, "metric_name": "b", "value": 7.0},
            {"time": 1, "metric_name": "a", "value": 0.5, "unit": "°C"},
        ],
    }
    empty = {"count": 0, "agent_uuid": str(KNOWN)}
    assert client.get(f"{url}?metric=none").json() == {**empty, "readings": []}
    assert client.get(f"{url}?metric=null").json() == {**empty, "readings": None}
