"""Reading the selections of a valid document: which field, of which type, in which fragment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
)

INTROSPECTION: Final = frozenset({"__schema", "__type"})


def fragments_of(document: DocumentNode) -> Mapping[str, FragmentDefinitionNode]:
    """Return the document's fragments by name."""
    nodes = [each for each in document.definitions if isinstance(each, FragmentDefinitionNode)]
    return {node.name.value: node for node in nodes}


def find_field(schema: GraphQLSchema, parent: GraphQLNamedType, name: str) -> GraphQLField | None:
    """Return a field of a type, `__typename` and introspection included."""
    return schema.get_field(parent, name) if is_composite_type(parent) else None


def condition(
    schema: GraphQLSchema,
    node: FragmentDefinitionNode | InlineFragmentNode,
    parent: GraphQLNamedType,
) -> GraphQLNamedType:
    """Return the type that a fragment is on."""
    named = node.type_condition
    return schema.type_map[named.name.value] if named else parent


def fields_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[tuple[GraphQLNamedType, str, GraphQLField | None]]:
    """Yield type, name and definition of each field that an operation may reach."""
    fragments = fragments_of(document)
    spread: set[str] = set()
    root = schema.get_root_type(operation.operation)
    assert root is not None  # validation has seen to it
    waiting: list[tuple[GraphQLNamedType, SelectionSetNode]] = [(root, operation.selection_set)]
    while waiting:
        parent, selection_set = waiting.pop()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                field = find_field(schema, parent, node.name.value)
                yield parent, node.name.value, field
                if field and node.selection_set:
                    waiting.append((get_named_type(field.type), node.selection_set))
            elif isinstance(node, InlineFragmentNode):
                waiting.append((condition(schema, node, parent), node.selection_set))
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                fragment = fragments[node.name.value]
                waiting.append((condition(schema, fragment, parent), fragment.selection_set))
