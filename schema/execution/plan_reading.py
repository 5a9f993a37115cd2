"""How the plan gets a field's value and its arguments: the shortest way that changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import getclosurevars, iscoroutinefunction
from operator import attrgetter
from typing import Any

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    GraphQLError,
    GraphQLField,
    IntValueNode,
    NullValueNode,
    OperationType,
    StringValueNode,
    VariableNode,
)
from graphql.execution import Executor, get_argument_values
from graphql.execution.values import coerce_argument
from graphql.type import is_non_null_type
from strawberry.extensions import FieldExtension
from strawberry.types.field import StrawberryField

from schema.execution.plan_leaves import IMMUTABLE

Reader = Callable[[Any], Any]
"""From the parent's value to the field's, or to an awaitable of it."""
Arguments = Callable[[Executor[Any]], dict[str, Any]]

_MADE_BY = "GraphQLCoreConverter.from_"
_ATTRIBUTE = f"{_MADE_BY}resolver.<locals>._get_basic_result"
_RESOLVERS = (
    f"{_MADE_BY}resolver.<locals>._resolver",
    f"{_MADE_BY}resolver.<locals>._async_resolver",
)
_EVENT = f"{_MADE_BY}field.<locals>.<lambda>"

_LITERALS = (
    IntValueNode,
    FloatValueNode,
    StringValueNode,
    BooleanValueNode,
    EnumValueNode,
    NullValueNode,
)


def reader_of(definition: GraphQLField, node: FieldNode, operation: OperationType) -> Reader | None:
    """Return what Strawberry's wrapper of a field without arguments comes to; None: call it.

    A wrapper is known by its code, so that one put around it later is never passed over.
    """
    code = getattr(definition.resolve, "__code__", None)
    field = definition.extensions.get("strawberry-definition")
    if code is None or not isinstance(field, StrawberryField):
        return None
    if operation is OperationType.SUBSCRIPTION and code.co_qualname == _EVENT:
        return _event
    if (
        definition.args
        or node.arguments
        or type(field).get_result is not StrawberryField.get_result
    ):
        return None
    if code.co_qualname == _ATTRIBUTE:
        return _attribute(field)
    if code.co_qualname not in _RESOLVERS or not all(map(_is_silent, field.extensions)):
        return None
    assert definition.resolve is not None
    if getclosurevars(definition.resolve).nonlocals.get("field_exception_handlers") != ():
        return None
    return _call(field) if field.base_resolver else _attribute(field)


def _event(event: Any) -> Any:
    return event


def _is_silent(extension: FieldExtension) -> bool:
    return (
        not extension.has_resolver and type(extension).map_arguments is FieldExtension.map_arguments
    )


def _attribute(field: StrawberryField) -> Reader | None:
    # attrgetter would take a dot apart; Python names have none, but a setting could.
    if field.default_resolver is not getattr or "." in field.python_name:
        return None
    return attrgetter(field.python_name)


def _call(field: StrawberryField) -> Reader | None:
    resolver = field.base_resolver
    assert resolver is not None
    function = resolver.wrapped_func
    if resolver.info_parameter or field.arguments or not callable(function):
        return None
    if field.is_async and not iscoroutinefunction(function):
        return None
    parents = [each for each in (resolver.parent_parameter, resolver.root_parameter) if each]
    names = [each.name for each in parents]
    if not resolver.self_parameter:
        return lambda source: function(**dict.fromkeys(names, source))
    if len(names) == 1:
        name = names[0]
        return lambda source: function(source, **{name: source})
    return lambda source: function(source, **dict.fromkeys(names, source))


def arguments_of(definition: GraphQLField, node: FieldNode) -> Arguments:
    """Return what gives a field's arguments for a run, as graphql-core would coerce them.

    Literals and defaults are coerced once, unless the value could be changed by a resolver.
    """
    if not definition.args:
        return _none

    def in_full(run: Executor[Any]) -> dict[str, Any]:
        return get_argument_values(
            definition, node, run.variable_values, None, run.hide_suggestions
        )

    given = {argument.name.value: argument for argument in node.arguments or ()}
    constants: dict[str, Any] = {}
    variables: list[tuple[str, str, bool]] = []
    for name, argument in definition.args.items():
        found = given.get(name)
        if found is not None and isinstance(found.value, VariableNode):
            required = is_non_null_type(argument.type)
            variables.append((argument.out_name or name, found.value.name.value, required))
            continue
        if found is not None and not isinstance(found.value, _LITERALS):
            return in_full
        try:
            coerce_argument(constants, node, name, argument, found, None, None)
        except GraphQLError:
            return in_full  # raises it again in each run, where it belongs
    if not all(type(value) in IMMUTABLE for value in constants.values()):
        return in_full

    def in_part(run: Executor[Any]) -> dict[str, Any]:
        coerced: Mapping[str, Any] = run.variable_values.coerced
        arguments = constants.copy()
        for name, variable, required in variables:
            if variable not in coerced or (required and coerced[variable] is None):
                return in_full(run)
            arguments[name] = coerced[variable]
        return arguments

    return in_part


def _none(run: Executor[Any]) -> dict[str, Any]:
    return {}
