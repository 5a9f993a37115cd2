"""The REST contract is a file too: `make golden` rewrites it, a person reads the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetgraph.app import openapi_text

SNAPSHOT = Path(__file__).parents[2] / "rest_compat" / "openapi.json"


@pytest.mark.golden
def test_the_openapi_document_is_the_one_checked_in() -> None:
    text = openapi_text()
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == text, "run `make golden` and read the diff"
