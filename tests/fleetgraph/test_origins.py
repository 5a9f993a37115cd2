"""Pages of known origins may read what is answered; all others get nothing to go by."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetgraph.origins import known_origins
from fleetgraph.setting_sections import HttpSettings
from tests.fleetgraph.applications import app_of_nothing

PAGE = "https://page.test"
SHARED = ["/api/v1/agents", "/graphql", "/openapi.json"]


@cache
def client(**http: Any) -> TestClient:
    return TestClient(app_of_nothing(**http))


def preflight(of: TestClient, path: str, origin: str = PAGE, **asked: str) -> Any:
    headers = {
        "origin": origin,
        "access-control-request-method": asked.get("method", "PATCH"),
        "access-control-request-headers": asked.get("headers", "authorization,content-type"),
    }
    return of.options(path, headers=headers)


def cors(answer: Any) -> dict[str, str]:
    return {n: v for n, v in answer.headers.items() if n.startswith("access-control")}


@pytest.mark.parametrize("path", SHARED)
def test_a_listed_page_may_call_and_read_the_headers(path: str) -> None:
    answer = preflight(client(origins=(PAGE,)), path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers
    answer = client(origins=(PAGE,)).get(path.replace("agents", "none"), headers={"origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("RateLimit-Limit", "X-RateLimit-Reset", "Retry-After", "ETag", "X-Request-ID"):
        assert name in exposed.split(", ")
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
        *("Last-Event-ID", "X-Device-API-Key", "X-Request-ID", "X-Tenant-ID"),
    ],
)
def test_a_listed_page_may_send_what_the_api_reads(name: str) -> None:
    answer = preflight(client(origins=(PAGE,)), "/graphql", headers=name.lower())
    assert answer.status_code == 200


def test_a_page_that_is_not_listed_may_nothing() -> None:
    of = client(origins=(PAGE,))
    for stranger in ("https://other.test", "http://page.test", "https://page.test:8443", "null"):
        assert preflight(of, "/graphql", origin=stranger).status_code == 400
        answer = of.get("/openapi.json", headers={"origin": stranger})
        assert "access-control-allow-origin" not in answer.headers


def test_any_page_may_call_only_when_asked_for() -> None:
    answer = client(origins=("*",)).get("/openapi.json", headers={"origin": "https://any.test"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", SHARED)
def test_without_the_setting_there_is_no_word_of_origins(path: str) -> None:
    of = client()
    assert not cors(preflight(of, path))
    assert not cors(of.get(path.replace("agents", "none"), headers={"origin": PAGE}))


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/docs"])
def test_what_is_no_api_is_shared_with_nobody(path: str) -> None:
    of = client(origins=(PAGE,))
    assert not cors(of.get(path, headers={"origin": PAGE}))


def test_the_public_address_is_ours_whatever_a_proxy_makes_of_host() -> None:
    settings = HttpSettings(origins=(PAGE,), public_url="https://Fleet.test:8443/base")
    assert known_origins(settings) == (PAGE, "https://fleet.test:8443")
    assert known_origins(HttpSettings()) == ()
