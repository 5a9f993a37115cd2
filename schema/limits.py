"""Bounds on a document, checked once per text: depth, aliases, fields, root fields, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    VisitorAction,
)
from strawberry.extensions import (
    AddValidationRules,
    MaxTokensLimiter,
    ParserCache,
    SchemaExtension,
    ValidationCache,
)

DEPTH_MAX = 12
ALIASES_MAX = 200
FIELDS_MAX = 1_000
ROOT_FIELDS_MAX = 20
TOKENS_MAX = 5_000
CACHED_DOCUMENTS_MAX = 500


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


@dataclass(slots=True)
class _Measure:
    """Measures selections; each fragment once, so that nested spreads cannot multiply the work."""

    fragments: dict[str, FragmentDefinitionNode]
    known: dict[str, Size]

    @classmethod
    def of(cls, document: DocumentNode) -> _Measure:
        nodes = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        return cls({node.name.value: node for node in nodes}, {})

    def selection(self, selection_set: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                size = size.beside(self._field(node))
            elif isinstance(node, FragmentSpreadNode):
                size = size.beside(self._fragment(node.name.value))
            else:
                size = size.beside(self.selection(getattr(node, "selection_set", None)))
        return size

    def _field(self, node: FieldNode) -> Size:
        if node.name.value.startswith("__"):
            return Size()  # introspection has a bound of its own in graphql-core
        inner = self.selection(node.selection_set)
        return Size(inner.depth + 1, inner.aliases + (node.alias is not None), inner.fields + 1)

    def _fragment(self, name: str) -> Size:
        if name not in self.known:
            self.known[name] = Size()  # a cycle ends here; another rule reports it
            fragment = self.fragments.get(name)
            self.known[name] = self.selection(fragment.selection_set if fragment else None)
        return self.known[name]


class WithinLimits(ASTValidationRule):
    """Refuses operations that are too deep or too large."""

    def enter_document(self, document: DocumentNode, *_: Any) -> VisitorAction:
        """Measure each operation of the document."""
        measure = _Measure.of(document)
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                for problem in problems(node, measure.selection(node.selection_set)):
                    self.report_error(GraphQLError(problem, node))
        return None


def problems(operation: OperationDefinitionNode, size: Size) -> list[str]:
    """Return what is too large about an operation, in words that name the limit."""
    root_fields = len(operation.selection_set.selections)
    bounds = [
        ("levels deep", size.depth, DEPTH_MAX),
        ("aliases", size.aliases, ALIASES_MAX),
        ("fields", size.fields, FIELDS_MAX),
        ("fields at its root", root_fields, ROOT_FIELDS_MAX),
    ]
    return [
        f"This operation has {found} {noun}; the limit is {limit}."
        for noun, found, limit in bounds
        if found > limit
    ]


RULES: list[type[ASTValidationRule]] = [WithinLimits]


# The rule classes must be the same objects on every request: they are part of the validation
# cache's key, and without its hits a small query costs eight times as much.
def _add_rules() -> SchemaExtension:
    return AddValidationRules(RULES)


def _limit_tokens() -> SchemaExtension:
    return MaxTokensLimiter(TOKENS_MAX)


def _cache_parsed() -> SchemaExtension:
    return ParserCache(maxsize=CACHED_DOCUMENTS_MAX)


def _cache_validated() -> SchemaExtension:
    return ValidationCache(maxsize=CACHED_DOCUMENTS_MAX)


EXTENSIONS = (_limit_tokens, _cache_parsed, _add_rules, _cache_validated)
"""For Schema(extensions=…); factories, because instances are shared between requests."""
