"""Paths of the whole application that no part of it sees."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.fleetgraph.applications import app_of_nothing


@pytest.fixture
def client() -> TestClient:
    return TestClient(app_of_nothing(), follow_redirects=False)


@pytest.mark.parametrize(
    "path", ["/docs/", "/graphql/", "/health/", "/openapi.json/", "/api/v1/agents/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_too_many_leads_nowhere(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"host": "elsewhere.test"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
