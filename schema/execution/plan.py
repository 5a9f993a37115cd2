"""Operations compiled once and run many times, with the results of graphql-core's Executor.

The answers, the errors and their order are those of graphql-core: tests run both on random
documents and compare. `python -m benchmarks.plan` shows what it saves.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    default_field_resolver,
    default_type_resolver,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    visit,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
)
from graphql.execution.executor import CollectedErrors
from graphql.execution.values import VariableValues
from graphql.language import DirectiveNode
from graphql.pyutils import is_awaitable

from schema.execution.plan_leaves import PLAIN
from schema.execution.plan_reading import Reader, reader_of
from schema.execution.plan_steps import (
    Field,
    LeafValue,
    ListValue,
    ObjectValue,
    Selection,
    StockField,
    Value,
)

_CONDITIONS = ("skip", "include")
_VARIANTS_MAX = 16
"""How many combinations of a document's conditions are kept compiled."""


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | None:
    """Return the plan of an operation of a valid document; None: graphql-core must execute it."""
    root = schema.get_root_type(operation.operation)
    fragments = [each for each in document.definitions if isinstance(each, FragmentDefinitionNode)]
    if root is None or operation.directives or any(f.variable_definitions for f in fragments):
        return None
    seen = _Directives()
    for node in (operation, *fragments):
        visit(node, seen)
    if seen.others:
        return None
    return Plan(schema, root, operation, fragments, tuple(sorted(seen.variables)))


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.others = False

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value not in _CONDITIONS:
            self.others = True
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.variables.add(argument.value.name.value)


class Plan:
    """An operation that can be run many times, also at once.

    Which fields are wanted may hang on variables (`@skip`, `@include`): each combination of
    those has a variant of its own, compiled when it is first met.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        root: GraphQLObjectType,
        operation: OperationDefinitionNode,
        fragments: list[FragmentDefinitionNode],
        conditions: tuple[str, ...],
    ) -> None:
        self._schema = schema
        self._root = root
        self._operation = operation
        self._fragments = {each.name.value: each for each in fragments}
        self._conditions = conditions
        self._variants: dict[tuple[object, ...], _Variant] = {}

    def run(
        self, root: object, variables: VariableValues, context: object
    ) -> Awaitable[ExecutionResult] | ExecutionResult:
        """Return the result for a root value (of a subscription: the event), or an awaitable."""
        coerced = variables.coerced
        wanted = tuple([coerced.get(name) for name in self._conditions])
        variant = self._variants.get(wanted)
        if variant is None:
            if not all(type(each) is bool for each in wanted):
                # A condition that is null: an error of the document, whose place graphql-core finds.
                executor = self._executor(variables)
                executor.root_value, executor.context_value = root, context
                return executor.execute_operation()  # type: ignore[return-value]  # not incremental
            variant = self._compile(wanted, variables)
        return variant.run(root, variables, context)

    def _compile(self, wanted: tuple[object, ...], variables: VariableValues) -> _Variant:
        if len(self._variants) >= _VARIANTS_MAX:
            self._variants.pop(next(iter(self._variants)))
        variant = _Variant(self._executor(variables), self._root)
        self._variants[wanted] = variant
        return variant

    def _executor(self, variables: VariableValues) -> Executor[Any]:
        return Executor(
            self._schema,
            self._fragments,
            {name: FragmentDetails(node) for name, node in self._fragments.items()},
            None,
            None,
            self._operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
        )


class _Variant:
    """The steps for one combination of conditions; `template` is what each run starts from."""

    def __init__(self, template: Executor[Any], root: GraphQLObjectType) -> None:
        self._template = template
        operation = template.operation
        grouped = collect_fields(
            template.schema, template.fragments, template.variable_values, root, operation
        ).grouped_field_set
        self._selection = self._select(root, grouped)
        # The template lives as long as the plan, and must not hold what one request brought.
        template.variable_values = VariableValues({}, {})

    def run(
        self, root: object, variables: VariableValues, context: object
    ) -> Awaitable[ExecutionResult] | ExecutionResult:
        run: Executor[Any] = Executor.__new__(Executor)
        run.__dict__ |= self._template.__dict__
        run.root_value = root
        run.variable_values = variables
        run.context_value = context
        run.collected_errors = CollectedErrors()
        try:
            if self._template.operation.operation is OperationType.MUTATION:
                data = self._selection.execute_serially(run, root)
            else:
                data = self._selection.execute(run, root, None)
        except GraphQLError as error:
            return _failed(run, error)
        if type(data) not in PLAIN and is_awaitable(data):
            return _result(run, data)
        return ExecutionResult(data, run.collected_errors.errors or None)

    def _select(self, parent: GraphQLObjectType, grouped: GroupedFieldSet) -> Selection:
        return Selection(parent, [self._field(parent, *each) for each in grouped.items()])

    def _field(self, parent: GraphQLObjectType, key: str, details: FieldDetailsList) -> Field:
        template = self._template
        node = details[0].node
        name = node.name.value
        definition = template.schema.get_field(parent, name)
        assert definition is not None, "a valid document names fields that exist"
        if name in {"__schema", "__type"}:
            return StockField(key, details, parent, definition)
        field = Field(key, details, parent, definition)
        if name == "__typename":
            field.reader = _constant(parent.name)
        else:
            field.reader = reader_of(definition, node, template.operation.operation)
        field.value = self._value(field, definition.type)
        return field

    def _value(self, field: Field, type_: GraphQLOutputType) -> Value:
        required = is_non_null_type(type_)
        known = type_.of_type if is_non_null_type(type_) else type_
        if is_leaf_type(known):
            return LeafValue(field, known, required=required)
        if is_list_type(known):
            return ListValue(field, known, self._value(field, known.of_type), required=required)
        if is_object_type(known) and known.is_type_of is None:
            grouped = self._template.collect_subfields(known, field.details).grouped_field_set
            selection = self._select(known, grouped)
            return ObjectValue(field, known, selection, required=required)
        return Value(field, type_, required=required)


def _constant(value: str) -> Reader:
    return lambda _: value


async def _result(run: Executor[Any], data: Awaitable[dict[str, Any]]) -> ExecutionResult:
    try:
        found = await data
    except GraphQLError as error:
        return _failed(run, error)
    return ExecutionResult(found, run.collected_errors.errors or None)


def _failed(run: Executor[Any], error: GraphQLError) -> ExecutionResult:
    run.collected_errors.add(error, None)
    return ExecutionResult(None, run.collected_errors.errors or None)
