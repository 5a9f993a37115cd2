"""What an operation costs: about how many values its answer may hold.

Each field counts one, times the lengths of all lists around it. A length is what `@listSize` says
(schema/directives.py): the value of an argument, else an assumption. A column counts one more for
every hundred values, which is about how much cheaper it is than as many objects. Fields that are
asked for twice, or that `@skip` may leave out, count: the sum bounds the answer from above.

The sum is worked out once per document, as far as it does not hang on variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
)

from schema.directives import ListSize, directives_of
from schema.execution.selections import INTROSPECTION, condition, find_field, fragments_of

COLUMN: Final = "Column"
COLUMN_VALUES_ASSUMED: Final = 1_000
VALUES_PER_UNIT: Final = 100
LENGTH_ASSUMED: Final = 20
"""Of a list that says nothing of its length."""

Formula = int | Callable[[Mapping[str, Any]], int]
"""A number, or how to find it with an operation's coerced variables."""

Length = int | tuple[str, int]
"""A number; or a variable, and the number where that is null."""


def cost_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Formula:
    """Return what an operation of a valid document costs; introspection counts nothing."""
    root = schema.get_root_type(operation.operation)
    assert root is not None  # validation has seen to it
    return _Costs(schema, document).selection(root, operation.selection_set, {})


class IntrospectionBound:
    """Keeps questions for the schema as cheap as tools need them; everybody may ask them."""

    def __init__(self, schema: GraphQLSchema) -> None:
        types = [each for name, each in schema.type_map.items() if not name.startswith("__")]
        fields = [field for each in types for field in getattr(each, "fields", {}).values()]
        arguments = sum(len(getattr(field, "args", ())) for field in fields)
        values = sum(len(getattr(each, "values", ())) for each in types)
        self._schema = schema
        self._lengths = {
            "types": len(types),
            "directives": len(schema.directives),
            "fields": _mean(len(fields), types),
            "inputFields": _mean(len(fields), types),
            "args": _mean(arguments, fields),
            "enumValues": _mean(values, types),
            "interfaces": 1,
            "possibleTypes": 1,
        }
        stock = parse(get_introspection_query())
        self._max = 2 * self._cost(stock, stock.definitions[0])

    def is_exceeded(self, document: DocumentNode, operation: OperationDefinitionNode) -> bool:
        """Whether an operation asks for more than twice what the usual question does."""
        return self._cost(document, operation) > self._max

    def _cost(self, document: DocumentNode, operation: Any) -> int:
        root = self._schema.get_root_type(operation.operation)
        assert root is not None  # validation has seen to it
        costs = _Costs(self._schema, document, self._lengths)
        found = costs.selection(root, operation.selection_set, {})
        return evaluate(found, {})


def evaluate(formula: Formula, variables: Mapping[str, Any]) -> int:
    """Return the number."""
    return formula if isinstance(formula, int) else formula(variables)


def _mean(total: int, things: Sequence[object]) -> int:
    return -(-total // len(things))


class _Costs:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        introspection: Mapping[str, int] | None = None,
    ) -> None:
        """With `introspection`, the lengths of its lists, nothing else is counted."""
        self._introspection = introspection
        self._schema = schema
        self._fragments = fragments_of(document)
        self._known: dict[tuple[str, tuple[tuple[str, Length], ...]], Formula] = {}

    def selection(
        self,
        parent: GraphQLNamedType,
        selection_set: SelectionSetNode,
        lengths: Mapping[str, Length],
    ) -> Formula:
        """Return the sum over a selection; `lengths` are what the field above says of lists."""
        return _sum([self._one(parent, node, lengths) for node in selection_set.selections])

    def _one(self, parent: GraphQLNamedType, node: Any, lengths: Mapping[str, Length]) -> Formula:
        if isinstance(node, FieldNode):
            return self._field(parent, node, lengths)
        if isinstance(node, FragmentSpreadNode):
            key = node.name.value, tuple(lengths.items())
            if key not in self._known:
                self._known[key] = self._part(parent, self._fragments[key[0]], lengths)
            return self._known[key]
        return self._part(parent, node, lengths)

    def _part(
        self,
        parent: GraphQLNamedType,
        node: Any,
        lengths: Mapping[str, Length],
    ) -> Formula:
        return self.selection(condition(self._schema, node, parent), node.selection_set, lengths)

    def _field(
        self, parent: GraphQLNamedType, node: FieldNode, lengths: Mapping[str, Length]
    ) -> Formula:
        name = node.name.value
        field = find_field(self._schema, parent, name)
        assert field is not None  # validation has seen to it
        if self._introspection is None:
            if name in INTROSPECTION:
                return 1
            own, inner = _lengths(field, node)
            inner = _deeper(name, lengths) | inner
        elif name in INTROSPECTION or parent.name.startswith("__"):
            own, inner = None, dict(self._introspection)
        else:
            return 0
        length = own if own is not None else lengths.get(name)
        type_ = get_named_type(field.type)
        if type_.name == COLUMN:
            return _column(COLUMN_VALUES_ASSUMED if length is None else length)
        if not is_composite_type(type_) or node.selection_set is None:
            return 1
        below = self.selection(type_, node.selection_set, inner)
        if is_list_type(get_nullable_type(field.type)):
            below = _product(LENGTH_ASSUMED if length is None else length, below)
        return _sum([1, below])


def _lengths(field: GraphQLField, node: FieldNode) -> tuple[Length | None, dict[str, Length]]:
    """Return the length of the field's own list, and those of lists of its objects."""
    own: Length | None = None
    inner: dict[str, Length] = {}
    for each in directives_of(field, ListSize):
        length = _length(each, node)
        if each.fields:
            inner |= dict.fromkeys(each.fields, length)
        else:
            own = length
    return own, inner


def _deeper(name: str, lengths: Mapping[str, Length]) -> dict[str, Length]:
    """Return what was said further above of lists below the field `name`."""
    prefix = f"{name}."
    return {
        path.removeprefix(prefix): length
        for path, length in lengths.items()
        if path.startswith(prefix)
    }


def _length(hint: ListSize, node: FieldNode) -> Length:
    given = next((a.value for a in node.arguments or () if a.name.value == hint.argument), None)
    if isinstance(given, VariableNode):
        return given.name.value, hint.assumed
    if isinstance(given, IntValueNode):
        return max(0, int(given.value))
    if isinstance(given, ListValueNode):
        return len(given.values)
    return hint.assumed


def _value(length: Length, variables: Mapping[str, Any]) -> int:
    if isinstance(length, int):
        return length
    name, assumed = length
    given = variables.get(name)
    if isinstance(given, int):
        return max(0, given)
    return len(given) if isinstance(given, list) else assumed


def _column(length: Length) -> Formula:
    if isinstance(length, int):
        return 1 + length // VALUES_PER_UNIT
    return lambda variables: 1 + _value(length, variables) // VALUES_PER_UNIT


def _product(length: Length, inner: Formula) -> Formula:
    if isinstance(length, int) and isinstance(inner, int):
        return length * inner
    return lambda variables: _value(length, variables) * evaluate(inner, variables)


def _sum(parts: Sequence[Formula]) -> Formula:
    known = sum(part for part in parts if isinstance(part, int))
    unknown = [part for part in parts if not isinstance(part, int)]
    if not unknown:
        return known
    if len(unknown) == 1:
        only = unknown[0]
        return lambda variables: known + only(variables)
    return lambda variables: known + sum([part(variables) for part in unknown])
