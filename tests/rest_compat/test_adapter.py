from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from core.callers import Role
from core.errors import Unavailable
from rest_compat import calls
from tests.rest_compat.harness import AGENT, Harness
from tests.rest_compat.toy import KNOWN

POLL = f"/api/v1/device/{KNOWN}/state"
REPORT = "/api/v1/device/state"


def test_an_unknown_route_of_the_api_says_so(client: TestClient) -> None:
    for url in ("/api/v1/nowhere", "/api/v1", "/api/v1/", "/api/v1/agents/a/b/c/d"):
        answer = client.get(url)
        assert answer.status_code == 404
        assert answer.json()["error"] == "Not found"
        assert url in answer.json()["message"]
        assert answer.json()["hint"]
    assert client.get("/elsewhere").text == "Not Found"


def test_a_wrong_method_names_the_right_ones(client: TestClient) -> None:
    answer = client.patch(f"/api/v1/agents/{KNOWN}")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD"
    assert answer.json()["error"] == "Method not allowed"
    assert client.request("BREW", REPORT).headers["allow"] == "PATCH"
    assert client.head(REPORT).status_code == 405


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        ("abc-1", "abc-1"),
        ("", "made-here"),
        ("<script>\t", "script"),
        ("é", "made-here"),
        ("x" * 500, "x" * 128),
    ],
)
def test_a_request_id_is_honoured_as_far_as_it_is_clean(
    client: TestClient, given: str, echoed: str
) -> None:
    headers = {b"X-Request-ID": given.encode()}
    answer = client.get("/api/v1/whoami", headers=headers)
    assert answer.headers["x-request-id"] == echoed
    assert answer.json() == f"viewer {echoed} testclient"
    assert client.get("/api/v1/no", headers=headers).headers["x-request-id"] == echoed
    assert client.patch("/api/v1/whoami", headers=headers).headers["x-request-id"] == echoed


def test_the_caller_reaches_the_resolvers(client: TestClient) -> None:
    client.headers.pop("authorization")
    assert client.get("/api/v1/whoami").json().startswith("nobody")
    assert client.get("/api/v1/whoami", headers=AGENT).json().startswith("agent")
    refused = client.get("/api/v1/whoami", headers={"Authorization": "Bearer stale"})
    assert refused.status_code == 401


def test_a_public_route_does_not_look_at_credentials(client: TestClient, harness: Harness) -> None:
    harness.down.add("credentials")
    assert client.get("/api/v1/motd", headers={"Authorization": "Bearer stale"}).status_code == 200


def test_an_optional_bearer_is_only_text(client: TestClient) -> None:
    url = "/api/v1/agent/register"
    key = {"Authorization": "bearer  some-key"}
    assert client.post(url, json={"deviceName": "n"}, headers=key).json() == "n with some-key"
    basic = {"Authorization": "Basic abc"}
    assert client.post(url, json={"deviceName": "n"}, headers=basic).json() == "n with None"


def test_every_call_is_counted_and_bad_credentials_as_nobodys(
    client: TestClient, harness: Harness
) -> None:
    answer = client.get(POLL, headers=AGENT)
    assert answer.headers["x-ratelimit-remaining"] == "9"
    client.get("/api/v1/whoami", headers={"Authorization": "Bearer stale"})
    assert harness.counted == [("DEVICE", Role.AGENT), ("GLOBAL", Role.NOBODY)]
    harness.limited = True
    limited = client.get("/api/v1/agents")
    assert limited.status_code == 429
    assert limited.json()["error"] == "Too many requests"
    assert limited.headers["retry-after"] == "60"


@pytest.mark.parametrize("part", ["database", "credentials"])
def test_a_poll_in_an_outage_gets_304(client: TestClient, harness: Harness, part: str) -> None:
    harness.down.add(part)
    answer = client.get(POLL, headers=AGENT)
    assert answer.status_code == 304
    assert answer.content == b""
    assert "etag" not in answer.headers
    assert answer.headers["x-request-id"] == "made-here"


def test_a_limited_poll_gets_304_and_a_wrong_one_its_error(
    client: TestClient, harness: Harness
) -> None:
    assert client.get("/api/v1/device/nope/state").status_code == 400
    assert client.get(POLL, headers={"Authorization": "Bearer stale"}).status_code == 401
    harness.limited = True
    assert client.get(POLL, headers=AGENT).status_code == 304


@pytest.mark.parametrize("part", ["database", "credentials"])
def test_a_report_in_an_outage_is_accepted_and_done_later(
    client: TestClient, harness: Harness, part: str
) -> None:
    harness.down.add(part)
    answer = client.patch(REPORT, json={"a": 1}, headers=AGENT)
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted"}
    deferred = harness.deferred.pop()
    assert deferred.body == b'{"a":1}'
    assert (deferred.caller is None) == (part == "credentials")
    assert deferred.request_id == "made-here"
    with pytest.raises(Unavailable):
        asyncio.run(deferred.run_again())
    assert harness.deferred == []
    harness.down.clear()
    asyncio.run(deferred.run_again())
    assert harness.calls == ["report {'a': 1}"]


def test_a_report_that_cannot_be_put_off_gets_the_error(
    client: TestClient, harness: Harness
) -> None:
    harness.down.add("database")
    harness.takes_deferred = False
    assert client.patch(REPORT, json={}, headers=AGENT).status_code == 503
    assert client.patch(REPORT, content=b"{", headers=AGENT).status_code == 400


def test_a_database_that_hangs_looks_like_one_that_is_away(
    client: TestClient, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE_SECONDS", 0.05)
    harness.down.add("hanging credentials")
    assert client.get(POLL, headers=AGENT).status_code == 304
    assert client.patch(REPORT, json={"a": 1}, headers=AGENT).status_code == 202
    assert harness.deferred.pop().body == b'{"a":1}'


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\ude00 cut", "\ufffd cut"),
        (rb"\ud83d\ude00 whole, \ud83d", "\U0001f600 whole, \ufffd"),
    ],
)
def test_half_a_character_does_not_refuse_a_report(
    client: TestClient, harness: Harness, sent: bytes, kept: str
) -> None:
    body = b'{"a": "' + sent + b'"}'
    assert client.patch(REPORT, content=body, headers=AGENT).status_code == 200
    assert harness.calls == [f"report {{'a': {kept!r}}}"]


async def test_a_client_that_goes_amid_its_body_is_not_answered(client: TestClient) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [(b"x-device-api-key", b"device-key"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": REPORT,
        "query_string": b"",
        "headers": headers,
        "client": ("testclient", 1),
    }
    await client.app(scope, receive, send)
