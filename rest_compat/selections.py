"""What a selection answers with, read off the document and the schema's types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    is_abstract_type,
    is_object_type,
)

Fragments = Mapping[str, FragmentDefinitionNode]

_TYPENAME_TYPE = GraphQLNonNull(GraphQLString)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the answer: its type and what is selected of it; `always` unless skippable."""

    type: GraphQLOutputType
    nodes: tuple[FieldNode, ...]
    always: bool
    description: str

    @property
    def selection_sets(self) -> list[SelectionSetNode]:
        """The selections that the executor merges for this member."""
        return [node.selection_set for node in self.nodes if node.selection_set]


def members_of(
    schema: GraphQLSchema,
    parent: GraphQLObjectType,
    sets: Iterable[SelectionSetNode],
    fragments: Fragments,
) -> dict[str, Member]:
    """Return the members that an object of type `parent` answers with, in order."""
    found: dict[str, Member] = {}
    for selection_set in sets:
        for node, always in _fields(schema, parent, selection_set, fragments, always=True):
            name = node.name.value
            key = node.alias.value if node.alias else name
            field = parent.fields.get(name)
            type_ = field.type if field else _TYPENAME_TYPE
            known = found.get(key)
            found[key] = Member(
                type_,
                (*known.nodes, node) if known else (node,),
                always=always or bool(known and known.always),
                description=(field.description or "") if field else "",
            )
    return found


def object_types_of(schema: GraphQLSchema, type_: object) -> list[GraphQLObjectType]:
    """Return the object types a value of `type_` may have; none for scalars and enums."""
    named = get_named_type(type_)  # type: ignore[call-overload]
    if is_abstract_type(named):
        return sorted(schema.get_possible_types(named), key=lambda each: each.name)
    return [named] if is_object_type(named) else []


def below(schema: GraphQLSchema, member: Member, fragments: Fragments) -> dict[str, Member]:
    """Return the members of a member, whatever object types it may have; none for scalars."""
    found: dict[str, Member] = {}
    for type_ in object_types_of(schema, member.type):
        for key, inner in members_of(schema, type_, member.selection_sets, fragments).items():
            found.setdefault(key, inner)
    return found


def _fields(
    schema: GraphQLSchema,
    parent: GraphQLObjectType,
    selection_set: SelectionSetNode,
    fragments: Fragments,
    *,
    always: bool,
) -> Iterator[tuple[FieldNode, bool]]:
    for node in selection_set.selections:
        sure = always and not _is_conditional(node)
        if isinstance(node, FieldNode):
            yield node, sure
            continue
        if isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            condition, inner = fragment.type_condition.name.value, fragment.selection_set
        else:
            assert isinstance(node, InlineFragmentNode)
            named = node.type_condition
            condition, inner = (named.name.value if named else parent.name), node.selection_set
        if _applies(schema, condition, parent):
            yield from _fields(schema, parent, inner, fragments, always=sure)


def _is_conditional(node: FieldNode | FragmentSpreadNode | InlineFragmentNode | object) -> bool:
    directives = getattr(node, "directives", ()) or ()
    return any(directive.name.value in {"skip", "include"} for directive in directives)


def _applies(schema: GraphQLSchema, condition: str, parent: GraphQLObjectType) -> bool:
    if condition == parent.name:
        return True
    type_ = schema.get_type(condition)
    return bool(is_abstract_type(type_) and schema.is_sub_type(type_, parent))
