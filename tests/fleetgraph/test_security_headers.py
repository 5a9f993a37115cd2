"""What browsers are told with every answer, whoever makes it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from fleetgraph.security_headers import SecurityHeaders
from tests.fleetgraph.applications import app_of_nothing


@cache
def client(**http: Any) -> TestClient:
    return TestClient(app_of_nothing(**http), raise_server_exceptions=False, follow_redirects=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/docs", 200),
        ("GET", "/account", 200),
        ("GET", "/graphql", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/assets/1/none.js", 404),
        ("GET", "/none", 404),
        ("GET", "/api/v1/none", 404),
        ("PUT", "/api/v1/auth/login", 405),
        ("PUT", "/graphql", 405),
        ("POST", "/graphql", 415),
    ],
)
def test_every_answer_has_them_once(method: str, path: str, status: int) -> None:
    answer = client().request(method, path, headers={"accept": "text/html, */*"})
    assert answer.status_code == status
    told = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }
    assert {name: answer.headers.get_list(name) for name in told} == {
        name: [value] for name, value in told.items()
    }
    (policy,) = answer.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "strict-transport-security" not in answer.headers


def test_transport_security_is_asked_for_by_the_setting() -> None:
    answer = client(hsts_seconds=3_600).get("/health")
    assert answer.headers["strict-transport-security"] == "max-age=3600"


@pytest.mark.parametrize(
    ("method", "path", "kept"),
    [
        ("POST", "/graphql", "no-store"),
        ("POST", "/api/v1/auth/login", "no-store"),
        ("GET", "/api/v1/none", "no-store"),
        ("GET", "/docs", "no-store"),
        ("GET", "/account", "no-store"),
        ("GET", "/health", None),
    ],
)
def test_nobody_keeps_what_the_api_answers(method: str, path: str, kept: str | None) -> None:
    answer = client().request(method, path)
    assert answer.headers.get("cache-control") == kept


async def headers_of(path: str, *headers: tuple[bytes, bytes], fails: bool = False) -> Any:
    """What is told of an answer with these headers."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if fails:
            raise ValueError("a secret")
        await send({"type": "http.response.start", "status": 200, "headers": [*headers]})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = SecurityHeaders(app, api_paths=("/api/",))
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    if fails:
        with pytest.raises(ValueError, match="secret"):
            await middleware(scope, receive, send)
        assert b"secret" not in sent[1]["body"]
    else:
        await middleware(scope, receive, send)
    return dict(sent[0]["headers"]) | {"status": sent[0]["status"]}


async def test_an_answer_with_an_etag_may_be_kept_by_who_asked() -> None:
    told = await headers_of("/api/v1/device/1/state", (b"etag", b'"1"'))
    assert told[b"cache-control"] == b"private, no-cache"


async def test_what_an_answer_says_of_itself_stands() -> None:
    told = await headers_of(
        "/api/v1/x", (b"cache-control", b"max-age=9"), (b"content-security-policy", b"sandbox")
    )
    assert told[b"cache-control"] == b"max-age=9"
    assert told[b"content-security-policy"] == b"sandbox"


async def test_a_failure_that_nothing_caught_is_told_with_them_too() -> None:
    told = await headers_of("/api/v1/x", fails=True)
    assert told["status"] == 500
    assert told[b"x-content-type-options"] == b"nosniff"
    assert told[b"cache-control"] == b"no-store"
