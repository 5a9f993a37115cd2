"""What would break or mislead an agent in the field has a test that shows that it does not happen.

Agents cannot be mended from here: one that is answered wrongly once may stay silent until somebody
drives to it. what_breaks_agents.txt has the table: a section of the agents' wire format, below it
what would break an agent, and below that the test.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.source import ROOT

Row = tuple[str, str]


def read_table() -> dict[str, list[Row]]:
    """Return (what breaks, test) by section."""
    table: dict[str, list[Row]] = {}
    section = breaks = ""
    text = Path(__file__).with_name("what_breaks_agents.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("    "):
            table[section].append((breaks, line.strip()))
        elif line.startswith("  "):
            breaks = line.strip()
        else:
            section = line
            table[section] = []
    return table


TABLE = read_table()


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests of a file below tests, as `test_x` and `TestX::test_x`."""
    body = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8")).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    of_classes = {f"{each.name}::{name}" for each in classes for name in functions_in(each.body)}
    return frozenset(functions_in(body) | of_classes)


def functions_in(body: list[ast.stmt]) -> set[str]:
    functions = [n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {each.name for each in functions if each.name.startswith("test_")}


@pytest.mark.parametrize("section", TABLE)
def test_what_breaks_an_agent_has_a_test(section: str) -> None:
    for breaks, shown_by in TABLE[section]:
        path, _, name = shown_by.partition("::")
        assert name in names_in(path), f"{section}: {breaks}"


def test_the_table_is_whole() -> None:
    """Each part of the format that agents depend on is there, with something in each."""
    assert {section.split(".")[0].split()[0] for section in TABLE} >= set("12345689") | {"10", "12"}
    assert all(TABLE.values())
