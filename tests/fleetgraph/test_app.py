"""Paths of the whole application that no part of it sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import RandomIds
from fleetgraph.app import create_app
from fleetgraph.settings import Settings


@pytest.fixture
def client() -> TestClient:
    parts: Any = SimpleNamespace(clock=None, ids=RandomIds(), context=None, take=None, limits=None)
    return TestClient(create_app(parts, parts, Settings()), follow_redirects=False)


@pytest.mark.parametrize(
    "path", ["/docs/", "/graphql/", "/health/", "/openapi.json/", "/api/v1/agents/"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_too_many_leads_nowhere(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"host": "elsewhere.test"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
