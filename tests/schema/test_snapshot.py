"""The contract is a file: a change of it is a diff that a person reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schema.root import schema

SNAPSHOT = Path(__file__).parents[2] / "schema" / "schema.graphql"


@pytest.mark.golden
def test_the_printed_schema_is_the_one_checked_in() -> None:
    text = schema.as_str() + "\n"
    if os.environ.get("FLEETGRAPH_TEST_GOLDEN"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == text, "run `make golden` and read the diff"
