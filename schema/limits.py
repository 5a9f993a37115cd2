"""Bounds on operations, and the ones that a document alone can show: its size and shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from core.callers import Role

NOBODY_COST_MAX: Final = 100
"""Enough to sign in, to register and to prove a key."""

FRAGMENTS_MAX: Final = 100
"""Validation compares fragments in pairs: 300 of them, in 14 kB, take it a second."""

OPERATIONS_MAX: Final = 100
"""In one document; each is prepared, whichever of them runs."""

CHARS_PER_TOKEN: Final = 25
"""A text may have so many times `tokens_max`: one token may be as long as the text, and reading a
megabyte takes a third of a second."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may ask for; settings fill it in.

    Attributes:
        depth_max: levels of fields; introspection is bounded by its cost instead.
        aliases_max, fields_max, root_fields_max: counted with fragments unfolded.
        tokens_max: tokens of a document.
        cost_max: cost of an operation of a person; see schema/execution/cost.py.
        agent_cost_max: the same of an agent.
        seconds_max: how long a query or mutation may run.
        documents_max: prepared documents kept in memory.
        introspection: who may ask for the schema.
    """

    depth_max: int = 12
    aliases_max: int = 200
    fields_max: int = 1_000
    root_fields_max: int = 20
    tokens_max: int = 5_000
    cost_max: int = 50_000
    agent_cost_max: int = 1_000
    seconds_max: float = 30.0
    documents_max: int = 1_000
    introspection: Literal["open", "signed-in", "off"] = "open"

    def budget(self, role: Role) -> int:
        """Return what an operation of such a caller may cost."""
        if role is Role.NOBODY:
            return min(NOBODY_COST_MAX, self.agent_cost_max)
        return self.agent_cost_max if role is Role.AGENT else self.cost_max

    @property
    def chars_max(self) -> int:
        """The longest text that is read as a document."""
        return CHARS_PER_TOKEN * self.tokens_max


class Size(NamedTuple):
    """How large a selection is, fragments counted wherever they are spread."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0

    def beside(self, other: Size) -> Size:
        """Return the size of both selections side by side."""
        return Size(
            max(self.depth, other.depth), self.aliases + other.aliases, self.fields + other.fields
        )


def too_large(document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """Return what is too large about a document, in words that name the limit.

    Needs no schema and time in proportion to the text, so it comes before validation, whose time
    may grow with the square of what is asked.
    """
    measure = _Measure(document)
    operations = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    ]
    sizes = [measure.selection(node.selection_set) for node in operations]
    return [
        GraphQLError(problem, node)
        for node, size in zip(operations, sizes, strict=True)
        for problem in _problems(size, measure.root(node), limits)
    ] or [
        GraphQLError(f"This document has {found} {noun}; the limit is {limit}.")
        for noun, found, limit in (
            ("fragments", measure.fragment_count, FRAGMENTS_MAX),
            ("operations", len(operations), OPERATIONS_MAX),
            ("fields in its operations", sum(size.fields for size in sizes), limits.fields_max),
        )
        if found > limit
    ]


def _problems(size: Size, root_fields: int, limits: Limits) -> list[str]:
    bounds = [
        ("levels deep", size.depth, limits.depth_max),
        ("aliases", size.aliases, limits.aliases_max),
        ("fields", size.fields, limits.fields_max),
        ("fields at its root", root_fields, limits.root_fields_max),
    ]
    return [
        f"This operation has {found} {noun}; the limit is {limit}."
        for noun, found, limit in bounds
        if found > limit
    ]


class _Measure:
    """Measures selections; each fragment once, so that nested spreads cannot multiply the work."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node.selection_set
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._sizes: dict[str, Size] = {}
        self._roots: dict[str, int] = {}

    @property
    def fragment_count(self) -> int:
        return len(self._fragments)

    def selection(self, selection_set: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                size = size.beside(self._field(node))
            elif isinstance(node, FragmentSpreadNode):
                size = size.beside(self._fragment(node.name.value))
            elif isinstance(node, InlineFragmentNode):
                size = size.beside(self.selection(node.selection_set))
        return size

    def root(self, node: OperationDefinitionNode | SelectionSetNode) -> int:
        selection_set = node if isinstance(node, SelectionSetNode) else node.selection_set
        count = 0
        for each in selection_set.selections:
            if isinstance(each, FieldNode):
                count += 1
            elif isinstance(each, FragmentSpreadNode):
                count += self._root_fragment(each.name.value)
            elif isinstance(each, InlineFragmentNode):
                count += self.root(each.selection_set)
        return count

    def _field(self, node: FieldNode) -> Size:
        inner = self.selection(node.selection_set)
        is_introspection = node.name.value in {"__schema", "__type"}
        depth = 1 if is_introspection else inner.depth + 1
        return Size(depth, inner.aliases + (node.alias is not None), inner.fields + 1)

    def _fragment(self, name: str) -> Size:
        if name not in self._sizes:
            self._sizes[name] = Size()  # a cycle ends here; validation reports it
            self._sizes[name] = self.selection(self._fragments.get(name))
        return self._sizes[name]

    def _root_fragment(self, name: str) -> int:
        if name not in self._roots:
            self._roots[name] = 0  # as above
            fragment = self._fragments.get(name)
            self._roots[name] = self.root(fragment) if fragment else 0
        return self._roots[name]
