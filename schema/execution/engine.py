"""Runs operations on the schema: the one way in for GraphQL, REST and subscriptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event

from schema.context import GraphQLContext
from schema.errors import present
from schema.execution.documents import Documents, Prepared
from schema.execution.requests import Answer, GraphQLRequest, Refused
from schema.limits import CACHED_DOCUMENTS_MAX, RULES, TOKENS_MAX
from schema.root import FleetSchema


class Engine:
    """Prepares documents and runs their operations; one for the whole process."""

    def __init__(self, schema: FleetSchema) -> None:
        self._schema = schema._schema  # noqa: SLF001  (Strawberry keeps graphql-core's schema there)
        self._documents = Documents(
            self._schema, RULES, tokens_max=TOKENS_MAX, entries_max=CACHED_DOCUMENTS_MAX
        )

    def prepare(self, request: GraphQLRequest, context: GraphQLContext) -> Prepared:
        """Return the operation asked for; raises Refused."""
        try:
            return self._documents.prepare(request.query, request.operation_name)
        except Refused as refused:
            raise self._refused(refused.answer.errors, context) from None

    async def run(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Answer:
        """Run a query or a mutation; raises Refused when nothing ran."""
        executor = self._executor(prepared, variables, context)
        found = executor.execute_operation(prepared.type is OperationType.MUTATION)
        result = await found if isawaitable(found) else found
        assert isinstance(result, ExecutionResult)
        return self._answer(result, context)

    async def subscribe(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Following:
        """Open a subscription; raises Refused when it cannot be opened."""
        executor = self._executor(prepared, variables, context)
        found = create_source_event_stream(executor)
        source = await found if isawaitable(found) else found
        if isinstance(source, ExecutionResult):
            raise self._refused(source.errors or [], context)
        return Following(self, executor, source, context)

    def _executor(
        self, prepared: Prepared, variables: Mapping[str, Any] | None, context: GraphQLContext
    ) -> Executor[Any]:
        executor = Executor.build(
            self._schema,
            prepared.document,
            context_value=context,
            raw_variable_values=dict(variables or {}),
            operation_name=prepared.operation_name,
        )
        if isinstance(executor, list):
            raise self._refused(executor, context)
        return executor

    def _answer(self, result: ExecutionResult, context: GraphQLContext) -> Answer:
        errors = [present(error, context.ctx.request_id) for error in result.errors or ()]
        return Answer(result.data, errors)

    @staticmethod
    def _refused(errors: Any, context: GraphQLContext) -> Refused:
        return Refused([present(error, context.ctx.request_id) for error in errors])


class Following:
    """An open subscription: where its events come from, and how one becomes an answer.

    `source` is what the subscription's resolver returned. Who stops following closes it.
    """

    def __init__(
        self,
        engine: Engine,
        executor: Executor[Any],
        source: AsyncIterable[Any],
        context: GraphQLContext,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self.source = source
        self._context = context

    async def resolve(self, event: object) -> Answer:
        """Return the answer to one event."""
        found = execute_subscription_event(self._executor.build_per_event_executor(event))
        result = await found if isawaitable(found) else found
        return self._engine._answer(result, self._context)  # noqa: SLF001

    async def answers(self) -> AsyncIterator[Answer]:
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
