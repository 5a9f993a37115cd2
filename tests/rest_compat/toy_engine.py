"""The engine's interface on graphql-core alone, for schemas that are not the product's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    execute,
    subscribe,
    validate,
)

from schema.errors import present


@dataclass
class Answer:
    data: dict[str, Any] | None
    errors: Sequence[GraphQLError]


class Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.errors[0].message)
        self.answer = answer


class ToyEngine:
    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    def prepare_document(self, document: DocumentNode, name: str) -> DocumentNode:
        assert not validate(self._schema, document), name
        return document

    async def run(
        self, prepared: DocumentNode, variables: Mapping[str, Any] | None, context: Any
    ) -> Answer:
        found = execute(
            self._schema, prepared, context_value=context, variable_values=dict(variables or {})
        )
        result = await found if isawaitable(found) else found
        assert isinstance(result, ExecutionResult)
        answer = _answer(result, context)
        if result.data is None and any(error.path is None for error in answer.errors):
            raise Refused(answer)
        return answer

    async def subscribe(
        self, prepared: DocumentNode, variables: Mapping[str, Any] | None, context: Any
    ) -> Following:
        found = subscribe(
            self._schema, prepared, context_value=context, variable_values=dict(variables or {})
        )
        source = await found if isawaitable(found) else found
        if isinstance(source, ExecutionResult):
            raise Refused(_answer(source, context))
        return Following(source, context)


class Following:
    def __init__(self, source: Any, context: Any) -> None:
        self._source = source
        self._context = context

    async def answers(self) -> AsyncGenerator[Answer, None]:
        try:
            async for result in self._source:
                yield _answer(result, self._context)
        except Exception as error:
            wrapped = GraphQLError(str(error), original_error=error)
            yield Answer(None, [present(wrapped, self._context.request_id)])


def _answer(result: ExecutionResult, context: Any) -> Answer:
    errors = [present(error, context.request_id) for error in result.errors or ()]
    return Answer(result.data, errors)
