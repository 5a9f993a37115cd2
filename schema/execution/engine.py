"""Runs operations on the schema: the one way in for GraphQL, REST and subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationType,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution import Executor, create_source_event_stream
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues, get_variable_values

from core.callers import Caller, Role
from core.context import Context
from core.errors import AppError, Forbidden, LimitReached, TookTooLong, Unauthenticated
from schema.context import GraphQLContext
from schema.errors import present
from schema.execution.cost import evaluate
from schema.execution.documents import Documents, Prepared
from schema.execution.requests import Answer, GraphQLRequest, Refused
from schema.limits import Limits
from schema.root import FleetSchema

VARIABLE_ERRORS_MAX: Final = 20

_NO_VARIABLES: Final = VariableValues({}, {})


OnError = Callable[[Context, str, GraphQLError], None]
"""Hears of each error of an operation that is known: who called, its first root field, as
`Mutation.login`, and the error as callers see it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An operation that may run now: its variables are coerced, its cost is within the budget."""

    variables: VariableValues
    extensions: dict[str, Any]


class Engine:
    """Prepares documents and runs their operations; one for the whole process."""

    def __init__(
        self,
        schema: FleetSchema,
        limits: Limits | None = None,
        *,
        on_error: OnError | None = None,
    ) -> None:
        self._schema = schema._schema  # noqa: SLF001  (Strawberry keeps graphql-core's schema there)
        self._limits = limits or Limits()
        self._on_error = on_error
        self._documents = Documents(self._schema, self._limits)

    def prepare(self, request: GraphQLRequest, context: GraphQLContext) -> Prepared:
        """Return the operation asked for; raises Refused."""
        try:
            return self._documents.prepare(request.query, request.operation_name)
        except Refused as refused:
            raise _refused(refused.answer.errors, context) from None

    def prepare_document(
        self, document: DocumentNode, operation_name: str | None = None
    ) -> Prepared:
        """Return an operation of a document of our own, which is valid and kept by who asks.

        Its permissions are checked as any other's; it has no limit of size, depth or cost.
        """
        return self._documents.prepare_document(document, operation_name)

    def admit(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Admitted:
        """Let an operation in: permissions, variables and cost; raises Refused."""
        caller = context.ctx.caller
        try:
            self._check_access(prepared, caller)
            coerced = self._coerce(prepared, variables, context)
            if prepared.cost is None:
                return Admitted(coerced, {})
            cost = evaluate(prepared.cost, coerced.coerced)
            budget = self._limits.budget(caller.role)
            if cost > budget:
                raise LimitReached(
                    f"This operation costs {cost}; the budget is {budget}. Ask for shorter pages "
                    "or fewer fields.",
                    cost=cost,
                    budget=budget,
                )
        except AppError as error:
            raise self._refused(prepared, [_located(prepared, error)], context) from None
        return Admitted(coerced, {"cost": {"requested": cost, "budget": budget}})

    async def run(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Answer:
        """Run a query or a mutation; raises Refused when nothing ran.

        After `seconds_max` the work is cancelled and the answer has no data. A mutation's unit of
        work is then rolled back, unless its commit was under way already; earlier mutations of
        the same operation stay.
        """
        admitted = self.admit(prepared, variables, context)
        answer = await self._answer(prepared, admitted.variables, None, context)
        answer.extensions = admitted.extensions
        return answer

    async def subscribe(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Following:
        """Open a subscription; raises Refused when it cannot be opened."""
        admitted = self.admit(prepared, variables, context)
        executor = self._executor(prepared, admitted.variables, None, context)
        found = create_source_event_stream(executor)
        try:
            async with asyncio.timeout(self._limits.seconds_max):
                source = await found if isawaitable(found) else found
        except TimeoutError:
            raise _refused([self._too_long(prepared)], context) from None
        if isinstance(source, ExecutionResult):
            raise self._refused(prepared, source.errors or [], context)
        return Following(self, prepared, admitted.variables, source, context)

    def _check_access(self, prepared: Prepared, caller: Caller) -> None:
        policy = self._limits.introspection
        if prepared.access.is_introspecting and policy != "open":
            if policy == "off":
                raise Forbidden("The schema is not to be asked for here", setting="introspection")
            if caller.role is Role.NOBODY:
                raise Unauthenticated("Sign in to ask for the schema")
        prepared.access.check(caller)

    def _coerce(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> VariableValues:
        definitions = prepared.operation.variable_definitions
        if not definitions:
            return _NO_VARIABLES
        found = get_variable_values(
            self._schema,
            definitions,
            dict(variables or {}),
            VARIABLE_ERRORS_MAX,
            hide_suggestions=self._limits.introspection != "open",
        )
        if isinstance(found, list):
            raise _refused(found, context)
        return found

    async def _answer(
        self,
        prepared: Prepared,
        variables: VariableValues,
        root: object,
        context: GraphQLContext,
    ) -> Answer:
        try:
            found = self._execute(prepared, variables, root, context)
            if isinstance(found, ExecutionResult):
                result = found
            else:
                async with asyncio.timeout(self._limits.seconds_max):
                    result = await found
        except TimeoutError:
            result = ExecutionResult(None, [self._too_long(prepared)])
        if not result.errors:
            return Answer(result.data)
        request_id = context.ctx.request_id
        errors = [present(error, request_id) for error in result.errors]
        self._tell(prepared, errors, context)
        return Answer(result.data, errors)

    def _refused(self, prepared: Prepared, errors: Any, context: GraphQLContext) -> Refused:
        refused = _refused(errors, context)
        self._tell(prepared, refused.answer.errors, context)
        return refused

    def _tell(
        self, prepared: Prepared, errors: Sequence[GraphQLError], context: GraphQLContext
    ) -> None:
        if self._on_error is not None:
            for error in errors:
                self._on_error(context.ctx, prepared.root_field, error)

    def _too_long(self, prepared: Prepared) -> GraphQLError:
        error = TookTooLong("This operation", limit_seconds=self._limits.seconds_max)
        return _located(prepared, error)

    def _execute(
        self,
        prepared: Prepared,
        variables: VariableValues,
        root: object,
        context: GraphQLContext,
    ) -> Awaitable[ExecutionResult] | ExecutionResult:
        if prepared.plan is not None:
            return prepared.plan.run(root, variables, context)
        executor = self._executor(prepared, variables, root, context)
        is_mutation = prepared.type is OperationType.MUTATION
        return executor.execute_operation(is_mutation)  # type: ignore[return-value]  # not incremental

    def _executor(
        self,
        prepared: Prepared,
        variables: VariableValues,
        root: object,
        context: GraphQLContext,
    ) -> Executor[Any]:
        return Executor(
            self._schema,
            dict(prepared.fragments),
            {name: FragmentDetails(node) for name, node in prepared.fragments.items()},
            root,
            context,
            prepared.operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
        )


class Following:
    """An open subscription: where its events come from, and how one becomes an answer.

    `source` is what the subscription's resolver returned. Who stops following closes it.
    """

    def __init__(
        self,
        engine: Engine,
        prepared: Prepared,
        variables: VariableValues,
        source: AsyncIterable[Any],
        context: GraphQLContext,
    ) -> None:
        self._engine = engine
        self._prepared = prepared
        self._variables = variables
        self.source = source
        self._context = context

    async def resolve(self, event: object) -> Answer:
        """Return the answer to one event; one that takes too long is only an error."""
        self._context.renew()
        return await self._engine._answer(self._prepared, self._variables, event, self._context)  # noqa: SLF001  # one module

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """Yield the answer to each event of the source; an error of the source is the last one."""
        try:
            async with aclosing(_closable(self.source)) as events:
                async for event in events:
                    yield await self.resolve(event)
        except Exception as error:
            wrapped = GraphQLError(str(error), original_error=error)
            yield Answer(None, [present(wrapped, self._context.ctx.request_id)])


async def _closable(source: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    iterator = aiter(source)
    try:
        async for event in iterator:
            yield event
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def _refused(errors: Any, context: GraphQLContext) -> Refused:
    return Refused([present(error, context.ctx.request_id) for error in errors])


def _located(prepared: Prepared, error: AppError) -> GraphQLError:
    return GraphQLError(error.message, prepared.operation, original_error=error)
