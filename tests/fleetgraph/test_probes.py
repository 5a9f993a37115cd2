"""/, /health and /metrics answer without a login and without any other server."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fleetgraph.probes import probe_routes
from tests.doubles import ManualClock

CLOCK = ManualClock(datetime(2026, 3, 1, 10, 5, 1, 10_000, tzinfo=UTC))


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=list(probe_routes(CLOCK))))


def test_the_root_says_what_this_is_and_where_things_are(client: TestClient) -> None:
    assert client.get("/").json() == {
        "status": "ok",
        "service": "fleetgraph",
        "version": version("fleetgraph"),
        "apiVersion": "v1",
        "apiBase": "/api/v1",
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "graphql": "/graphql",
    }


def test_health_has_the_time_in_milliseconds(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "healthy"
    assert body["timestamp"] == "2026-03-01T10:05:01.010Z"
    assert body["uptime"] >= 0


def test_metrics_are_for_prometheus(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE fleetgraph_broker_connected gauge" in answer.text


def test_head_is_enough_for_a_probe(client: TestClient) -> None:
    assert client.head("/health").status_code == 200
