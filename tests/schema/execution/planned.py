"""Run an operation both ways and compare everything a caller or a resolver can see."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    get_variable_values,
    parse,
)
from graphql.execution import Executor

from schema.execution.plan import Plan, compile_plan
from tests.schema.execution import toy


def core(schema: Any) -> GraphQLSchema:
    found: GraphQLSchema = schema._schema
    return found


def plan_of(text: str, schema: Any = toy.schema) -> Plan:
    document = parse(text)
    plan = compile_plan(core(schema), document, operation(document))
    assert plan is not None
    return plan


def operation(document: Any) -> OperationDefinitionNode:
    return next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))


async def stock(
    text: str, root: object, variables: dict[str, Any], context: Any, schema: Any = toy.schema
) -> ExecutionResult:
    executor = Executor.build(
        core(schema),
        parse(text),
        root_value=root,
        context_value=context,
        raw_variable_values=variables,
    )
    assert not isinstance(executor, list), executor
    found = executor.execute_operation()
    return await found if isawaitable(found) else found  # type: ignore[return-value]


async def planned(
    plan: Plan, root: object, variables: dict[str, Any], context: Any, schema: Any = toy.schema
) -> ExecutionResult:
    definitions = plan._operation.variable_definitions or ()
    values = get_variable_values(core(schema), definitions, variables)
    assert not isinstance(values, list), values
    found = plan.run(root, values, context)
    return await found if isawaitable(found) else found


def seen(result: ExecutionResult) -> tuple[str, list[Any]]:
    """Return the data with its order and types, and the errors with their causes."""
    return repr(result.data), [told(error) for error in result.errors or ()]


def told(error: GraphQLError) -> tuple[Any, ...]:
    cause = error.original_error
    nodes = [node.loc.start for node in error.nodes or () if node.loc]
    return (
        error.message,
        error.path,
        error.locations,
        nodes,
        type(cause),
        str(cause),
        error.extensions,
    )


async def check(
    text: str, root: object, variables: dict[str, Any] | None = None, plan: Plan | None = None
) -> ExecutionResult:
    """Return the result, which is the same both ways."""
    ours, theirs = toy.new_context(), toy.new_context()
    expected = await stock(text, root, variables or {}, theirs)
    found = await planned(plan or plan_of(text), root, variables or {}, ours)
    assert seen(found) == seen(expected)
    assert ours["log"] == theirs["log"]
    assert ours["batches"].asked == theirs["batches"].asked
    return found
