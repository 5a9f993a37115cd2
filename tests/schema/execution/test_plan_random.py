"""Random documents over random data, well-behaved or not: the plan answers as graphql-core does.

Each example is made of one number: Hypothesis remembers those that failed.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from graphql import (
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_composite_type,
    parse,
    validate,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.errors import Forbidden, NotFound
from tests.schema.execution import toy
from tests.schema.execution.planned import check, core, plan_of
from tests.schema.execution.toy import Colour, Later, Once, Raised, Streamed, Thing

SCHEMA = core(toy.schema)
DEPTH = 2

# Data ---------------------------------------------------------------------------------------

LEAVES: dict[str, list[Any]] = {
    "String": ["a", "", "ü", 7, True, 1.5, UUID(int=3), Colour.RED, b"x", ["a"], type("T", (str,), {})("t")],
    "Int": [0, 1, -3, 2**31 - 1, 2**31, 1.0, 1.5, "7", "x", True, np.int64(3), math.nan],
    "Float": [0.0, -1.5, 3, math.nan, math.inf, "2.5", "x", True, np.float64(2), 10**400],
    "Boolean": [True, False, 1, 0.0, "x", np.bool_(True)],
    "ID": ["id", 5, 1.5, 1.0, True, UUID(int=5)],
    "UUID": [UUID(int=1), "any", 3],
    "DateTime": [datetime(2026, 1, 1, tzinfo=UTC), "never", 3],
    "Column": [[1, None], np.arange(3.0), (1, 2), "x"],
    "JSON": [{"a": [1]}, "x", 3, Thing(), Later("x", 1), False],
    "Long": [1, 2**53, "12", "x", math.nan, 2.9],
    "Colour": [Colour.RED, Colour.BLUE, Colour.ALSO_RED, "red", "RED", "green", ["red"], {}, 3],
}  # fmt: skip

ERRORS = [ValueError("v"), NotFound("thing", 3), Forbidden("no"), TypeError()]


class Data:
    """Draws objects; `odds` is how often, in a hundred, a value is not what it should be."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.odds = random.choice([0, 1, 3, 10])

    def thing(self, depth: int = DEPTH) -> Thing:
        node: Any = SCHEMA.type_map["Node"]
        values: dict[str, Any] = {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in name): self.value(
                field.type, depth
            )
            for name, field in node.fields.items()
            if not self.happens(0.1)
        }
        values["loaded"] = self.random.choice(["a", "bb", "ccc", "ccc", "bad"])
        values["is_cat"] = self.random.random() < 0.5
        return Thing(**values)

    def value(self, kind: Any, depth: int) -> Any:
        if self.happens():
            return self.random.choice(ERRORS)
        if self.happens():
            return Raised(self.random.choice(ERRORS))
        if self.happens(2):
            return Later(self.value(kind, depth), self.random.randrange(4))
        if self.happens():
            return self.random.choice([None, "x", 3, object, {}, []])
        if isinstance(kind, GraphQLNonNull):
            return self.present(kind.of_type, depth)
        return None if self.random.random() < 0.3 else self.present(kind, depth)

    def present(self, kind: Any, depth: int) -> Any:
        if isinstance(kind, GraphQLList):
            of_things = is_composite_type(get_named_type(kind))
            most = (2 if depth else 0) if of_things else 4
            items = [
                self.value(kind.of_type, depth) for _ in range(self.random.randrange(most + 1))
            ]
            return self.random.choice([list, list, list, list, tuple, Once, Streamed])(items)
        if is_composite_type(kind):
            return self.thing(depth - 1) if depth else None
        choices = LEAVES[kind.name]
        return self.random.choice(choices if self.happens(3) else choices[:2])

    def happens(self, weight: float = 1) -> bool:
        return self.random.random() * 100 < self.odds * weight


# Documents ----------------------------------------------------------------------------------

ARGUMENTS = {
    "tell": ["", "(times: 3)", "(times: $n)", "(text: $s, colour: $c)", '(colour: RED, tags: ["z"])',
             "(filter: $f)", "(filter: {text: $s, numbers: [1, $m]})", "(text: null, tags: $t)",
             '(text: "x", tags: "y")', "(colour: null)"],
    "need": ["(times: $n)", "(times: 1)", "(times: $m, uuid: $u)",
             '(times: 2, uuid: "00000000-0000-0000-0000-000000000001")'],
}  # fmt: skip
CONDITIONS = ["", "", "", "", "@include(if: $x)", "@skip(if: $y)", "@skip(if: false)",
              "@include(if: $y) @skip(if: $x)", "@skip(if: true)"]  # fmt: skip
HEAD = (
    "query Q($n: Int = 3, $m: Int!, $s: String, $c: Colour, $f: Filter, $t: [String!],"
    " $u: UUID, $x: Boolean!, $y: Boolean = false)"
)


class Documents:
    """Draws documents, most of them valid."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def document(self) -> str:
        fragments = [
            f"fragment F{name} on {name} {self.selection(name, 1, spreads=False)}"
            for name in ("Node", "Named", "Cat")
        ]
        return "\n".join([HEAD + self.selection("Node", DEPTH), *fragments])

    def selection(self, name: str, depth: int, *, spreads: bool = True) -> str:
        type_: Any = SCHEMA.type_map[name]
        parts = []
        for _ in range(self.random.randint(1, 8)):
            turn = self.random.randrange(12)
            condition = self.random.choice(CONDITIONS)
            if turn == 0 and depth:
                inner = self.selection(name, depth - 1, spreads=spreads)
                parts.append(f"... {self.random.choice(['', f'on {name}'])} {condition} {inner}")
            elif turn == 1 and spreads:
                parts.append(f"...F{name} {condition}")
            elif turn == 2:
                parts.append(f"{self.random.choice(['', 'kind: '])}__typename {condition}")
            else:
                parts.append(self.field(type_, depth, condition, spreads=spreads))
        return "{" + " ".join(parts) + "}"

    def field(self, parent: Any, depth: int, condition: str, *, spreads: bool) -> str:
        names = [
            name
            for name, field in parent.fields.items()
            if depth or not is_composite_type(get_named_type(field.type))
        ]
        # Fields with something below come more often than by chance.
        names += [name for name in ("children", "holes", "child", "made") if name in names] * 3
        name = self.random.choice(names)
        choices = ARGUMENTS.get(name, [""])
        at = self.random.randrange(len(choices))
        # The alias follows from the arguments, so that fields of one key can be merged.
        key = f"x{at}{name}: " if at or self.random.random() < 0.3 else ""
        named: Any = get_named_type(parent.fields[name].type)
        below = ""
        if is_composite_type(named):
            below = self.selection(named.name, depth - 1, spreads=spreads)
            if named.name == "Named":
                below = "{" + below[1:-1] + " ... on Cat { number text } ... on Dog { flag } }"
        return f"{key}{name}{choices[at]} {condition} {below}"

    def variables(self) -> dict[str, Any]:
        drawn = {name: self.random.choice(choices) for name, choices in VARIABLES.items()}
        return {name: value for name, value in drawn.items() if value is not ABSENT}


ABSENT = object()
VARIABLES: dict[str, list[Any]] = {
    "m": [4],
    "x": [True, False],
    "n": [1, None, ABSENT],
    "s": ["s", None, ABSENT],
    "c": ["RED", "BLUE", None, ABSENT],
    "f": [{}, {"text": "t", "colour": "RED"}, None, ABSENT],
    "t": [["a"], [], None, ABSENT],
    "u": ["00000000-0000-0000-0000-00000000000a", ABSENT],
    "y": [True, False, True, False, ABSENT, None],
}
# graphql-core, too, cancels siblings that have not begun when an error nulls their parent.
NEVER_BEGAN = "ignore:.*was never awaited"
UNUSED = ("is never used", "is not used")


@pytest.mark.slow
@pytest.mark.filterwarnings(NEVER_BEGAN, "ignore::pytest.PytestUnraisableExceptionWarning")
@settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.integers(0, 2**63))
def test_any_document_is_answered_as_by_graphql_core(seed: int) -> None:
    random = Random(seed)
    documents = Documents(random)
    text, root = documents.document(), Data(random).thing()
    problems = validate(SCHEMA, parse(text))
    assert all(any(u in p.message for u in UNUSED) for p in problems), (text, problems)
    plan = plan_of(text)
    for _ in range(3):
        asyncio.run(check(text, root, documents.variables(), plan))
