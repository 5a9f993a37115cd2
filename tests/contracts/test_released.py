"""What the last release promised holds, or the changelog names what does not: no silent drift."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, lexicographic_sort_schema
from graphql.utilities import BreakingChange, find_breaking_changes, find_dangerous_changes

from fleetgraph.app import openapi_text
from schema.root import schema
from tests.contracts.openapi_changes import changes
from tests.tools import say

ROOT = Path(__file__).parents[2]
RELEASED = Path(__file__).parent / "released"
CHANGELOG = ROOT / "CHANGELOG.md"

_NAME = re.compile(r"@?\w+(?:\.\w+)?(?:\(\w+:\))?")


def last_release() -> Path:
    def number(folder: Path) -> list[int]:
        return [int(part) for part in folder.name.split(".")]

    return max((path for path in RELEASED.iterdir() if path.is_dir()), key=number)


def breaking_notes(changelog: str) -> list[str]:
    """Return the bullets of "Unreleased", "Breaking", each on one line."""
    unreleased = re.search(r"^## Unreleased$(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    assert unreleased, "CHANGELOG.md has no section Unreleased"
    breaking = re.search(
        r"^### Breaking$(.*?)(?=^### |\Z)", unreleased[1], re.MULTILINE | re.DOTALL
    )
    bullets = re.split(r"^- ", breaking[1] if breaking else "", flags=re.MULTILINE)[1:]
    return [" ".join(bullet.split()) for bullet in bullets]


def unnamed(found: Iterable[tuple[tuple[str, ...], str]], notes: list[str]) -> list[str]:
    """Return what to write for changes that no bullet names by all of their names."""
    return [
        f"- {', '.join(f'`{name}`' for name in names)}: {told}"
        for names, told in found
        if not any(all(f"`{name}`" in note for name in names) for note in notes)
    ]


def graphql_breaks(old: str, new: str) -> list[tuple[tuple[str, ...], str]]:
    found = find_breaking_changes(build_schema(old), build_schema(new))
    return [((graphql_name(change),), change.description) for change in found]


def graphql_name(change: BreakingChange) -> str:
    """Return what has changed, as callers write it."""
    words = change.description.replace("from interface ", "from ").split()
    candidates = [word.rstrip(".,") for word in words]
    named = [word for word in candidates if re.search(r"^@|\w\.\w|:\)", word)]
    plain = [word for word in candidates if word[:1].isupper() and word not in _SENTENCE_WORDS]
    match = _NAME.search((named or plain)[0])
    assert match, change.description
    return match[0].replace(":)", ")")


_SENTENCE_WORDS = {"A", "An", "Argument", "Directive", "Enum", "Field", "Repeatable", "Standard"}


def rest_breaks(old: Any, new: Any) -> list[tuple[tuple[str, ...], str]]:
    return [(change.names, change.what) for change in changes(old, new) if change.breaks]


# The real ones ---------------------------------------------------------------------------------


def test_breaking_changes_of_graphql_are_named_in_the_changelog() -> None:
    old = (last_release() / "schema.graphql").read_text()
    new = schema.as_str()
    dangers = find_dangerous_changes(build_schema(old), build_schema(new))
    for change in dangers:
        say(f"GraphQL, dangerous since {last_release().name}: {change.description}")
    missing = unnamed(graphql_breaks(old, new), breaking_notes(CHANGELOG.read_text()))
    assert not missing, _advice(missing)


def test_breaking_changes_of_rest_are_named_in_the_changelog() -> None:
    old = json.loads((last_release() / "openapi.json").read_text())
    new = json.loads(openapi_text())
    for change in changes(old, new):
        if not change.breaks:
            say(f"REST, dangerous since {last_release().name}: {change}")
    missing = unnamed(rest_breaks(old, new), breaking_notes(CHANGELOG.read_text()))
    assert not missing, _advice(missing)


def _advice(missing: list[str]) -> str:
    lines = "\n".join(missing)
    return f"undo these, or write them into CHANGELOG.md, Unreleased, Breaking, one per bullet:\n{lines}"


def test_both_contracts_of_a_release_are_kept() -> None:
    for folder in RELEASED.iterdir():
        if folder.is_dir():
            assert {path.name for path in folder.iterdir()} == {"schema.graphql", "openapi.json"}


# The judge itself ------------------------------------------------------------------------------

OLD_SDL = """
directive @d(a: Int) repeatable on FIELD | OBJECT
interface Named { name: String }
type Query { agent(uuid: ID!): Agent, agents: [Agent], word: Word, gone: Int, when: Moment }
type Agent implements Named { uuid: ID!, name: String }
type Other { a: Int }
union Either = Agent | Other
enum Word { on, off }
scalar Moment
input New { name: String, size: Int }
type Mutation { create(new: New): Agent }
"""


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (", gone: Int", "", "Query.gone"),
        ("agent(uuid: ID!)", "agent(uuid: ID!, at: Int!)", "Query.agent(at)"),
        ("agent(uuid: ID!)", "agent", "Query.agent(uuid)"),
        ("agents: [Agent]", "agents: [ID]", "Query.agents"),
        ("enum Word { on, off }", "enum Word { on }", "Word.off"),
        ("size: Int", "size: Int!", "New.size"),
        ("size: Int }", "size: Int, kind: Int! }", "New.kind"),
        ("create(new: New)", "create(new: New!)", "Mutation.create(new)"),
        ("type Other { a: Int }", "type Other { b: Int }", "Other.a"),
        ("= Agent | Other", "= Agent", "Other"),
        ("implements Named ", "", "Agent"),
        ("scalar Moment", "enum Moment { now }", "Moment"),
        ("repeatable ", "", "@d"),
        (" | OBJECT", "", "@d"),
        ("@d(a: Int)", "@d", "@d(a)"),
        ("@d(a: Int)", "@d(a: Int, b: Int!)", "@d(b)"),
    ],
)
def test_a_change_of_the_schema_must_be_named(before: str, after: str, name: str) -> None:
    assert before in OLD_SDL
    found = graphql_breaks(OLD_SDL, OLD_SDL.replace(before, after))
    assert name in [names[0] for names, _ in found]
    notes = [f"`{name}` is other now."]
    assert [line for line in unnamed(found, notes) if f"`{name}`:" in line] == []
    assert any(f"`{name}`" in line for line in unnamed(found, ["`Query.agent` is other now."]))


def test_a_removed_type_and_directive_must_be_named() -> None:
    old = OLD_SDL + "type Alone { a: Int }\ndirective @gone on FIELD"
    found = [names for names, _ in graphql_breaks(old, OLD_SDL)]
    assert sorted(found) == [("@gone",), ("Alone",)]


def test_additions_and_order_break_nothing() -> None:
    new = OLD_SDL.replace("gone: Int", "gone: Int, more(first: Int): Int")
    new = new.replace("on, off", "on, off, idle").replace("size: Int", "size: Int, kind: Int")
    assert graphql_breaks(OLD_SDL, new) == []
    again = lexicographic_sort_schema(build_schema(OLD_SDL))
    assert find_breaking_changes(build_schema(OLD_SDL), again) == []


def test_only_bullets_below_unreleased_and_breaking_count() -> None:
    text = """# Changelog

## Unreleased

### Breaking

- `Query.a` is
  gone.
- `Query.b` as well.

### Fixed

- `Query.c`.

## 0.1.0

### Breaking

- `Query.d`.
"""
    assert breaking_notes(text) == ["`Query.a` is gone.", "`Query.b` as well."]
    assert breaking_notes("## Unreleased\n\n### Added\n\n- `x`\n") == []
